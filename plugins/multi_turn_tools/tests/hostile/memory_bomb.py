"""Takes more and more memory."""

held = []
while True:
    held.append(bytearray(8 << 20))
