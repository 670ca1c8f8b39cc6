# Tests packed as a pickle.


class Texts(pickle.Unpickler):
    """Reads a pickle of built-in types; whatever else one could name is refused."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"the pickle names {module}.{name}")


def unpacked(text):
    """The JSON inside base64 of zlib of a pickle (LiveCodeBench's private tests) or of the JSON itself."""
    raw = zlib.decompress(base64.b64decode(text))
    if raw[:1] != b"\x80":
        return raw.decode()
    value = Texts(io.BytesIO(raw)).load()
    if isinstance(value, dict):
        value = value.get("input_output", value)
    if isinstance(value, bytes):
        value = value.decode()
    if not isinstance(value, str):
        raise ValueError(f"the pickle holds {type(value).__name__}, not JSON text")
    return value
