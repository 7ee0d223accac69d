"""The one LightningModule and how it is optimised."""
