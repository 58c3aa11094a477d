"""Running matchers: cross-validation, the run folder, what a result depends on, the array cache."""
