"""Diagnostic problems for recurrent networks, and the inspection of their gradients and gates."""
