"""Exact aggregates of event windows on arrays: group by key, find each row's window, fold what lies in it."""
