"""Plans of fine-tuning stages, the keys that name them, the store that keeps them, the runner that trains them."""
