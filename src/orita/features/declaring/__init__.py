"""What declarations are made of; `orita.features.declarations` has what users import."""
