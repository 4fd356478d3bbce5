"""What a resolved document is written as; `ResolvedDocument` has a method for each."""
