"""The page of a month (placeholder)."""
def write_month_page(path, month): path.write_text("")
