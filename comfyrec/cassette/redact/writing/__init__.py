"""How values are written behind their names: in strings, objects, commands, binary encodings."""
