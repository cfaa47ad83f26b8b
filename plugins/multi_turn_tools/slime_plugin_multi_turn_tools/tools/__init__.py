"""What the model may call: a calculator, and Python in the sandbox."""
