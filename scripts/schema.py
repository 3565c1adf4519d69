"""Compiles the protocol's schema, client.proto, to client.binpb beside it, which is committed.

Run this program after every change of client.proto; a test compares the two files.
"""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

SOURCE = Path("src/hotclub/engine/protocol/client.proto")


def compile_schema(source: Path) -> bytes:
    """Return the schema as a serialized `FileDescriptorSet`.

    Raises:
        SyntaxError: the compiler has refused the schema, and printed the reason on standard error.
    """
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory, "compiled")
        arguments = ["protoc", f"--proto_path={source.parent}", f"--descriptor_set_out={target}", source.name]
        if protoc.main(arguments):
            raise SyntaxError(f"{source} was refused")
        return target.read_bytes()


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    compiled = compile_schema(root / SOURCE)
    (root / SOURCE).with_suffix(".binpb").write_bytes(compiled)
    sys.stdout.write(f"{SOURCE.with_suffix('.binpb')}: {len(compiled)} bytes\n")
