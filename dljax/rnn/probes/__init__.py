"""Problems of known difficulty for recurrent networks, and a look inside them."""
