"""What may be in a CustomResourceDefinition."""
