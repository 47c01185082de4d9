"""One module per application, a folder where several share parts: build, train, predict."""
