"""Parts of transfer learning: sources, targets, methods, inference."""
