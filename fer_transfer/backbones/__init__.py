"""Networks up to the pooled features, under timm's contract, and the weights they start from."""
