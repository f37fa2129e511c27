"""The binding and <slipring.h> say the same: names, values, layouts, arguments."""
import ctypes
import os
import re
import subprocess

import pytest
from conftest import BUILD, ROOT
from slipring import _library as c

import slipring

HEADER = os.path.join(ROOT, "lib/client/slipring.h")
with open(HEADER) as f:
    TEXT = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)

SCALARS = {"size_t": ctypes.c_size_t, "unsigned": ctypes.c_uint, "uint8_t": ctypes.c_uint8, "uint16_t": ctypes.c_uint16,
           "uint32_t": ctypes.c_uint32, "uint64_t": ctypes.c_uint64, "bool": ctypes.c_bool}


def enums():
    """{name, "" for one without: {constant: value text or None}}"""
    for name, body in re.findall(r"enum\s*(\w*)\s*\{(.*?)\}", TEXT, re.S):
        yield name, dict(re.findall(r"(SLIPRING_\w+)(?:\s*=\s*([^,]+))?", body))


def functions():
    """{name: (what it returns, [types of its arguments])}"""
    found = {}
    for returns, name, arguments in re.findall(r"^((?:const )?(?:enum |struct )?\w+[ *]+)(slipring_\w+)\(([^)]*)\);", TEXT, re.M):
        types = [re.sub(r"\s*\b\w+$", "", a.strip()) if not a.strip().endswith("*") else a.strip()
                 for a in arguments.split(",")]
        found[name] = (returns.strip(), [t.replace(" *", "*").strip() for t in types])
    return found


def fits(declared, ctype):
    """Whether a C type may be passed as a ctypes type."""
    declared = declared.replace("const ", "").replace(" *", "*")
    if declared == "void" or declared in SCALARS:
        return ctype is SCALARS.get(declared)
    if declared.startswith("enum "):
        return ctype is ctypes.c_int and declared[5:] in c.ENUMS
    if declared in ("void*", "char*"):
        return ctype in (ctypes.c_void_p, ctypes.c_char_p)
    if declared == "struct slipring*":
        return ctype is ctypes.c_void_p
    match = re.fullmatch(r"struct (\w+)\*", declared)
    return bool(match) and ctype is ctypes.POINTER(c.STRUCTURES[match[1]])


def value_of(text):
    """C's "1 << 20", "100ull * 365", "UINT64_MAX"."""
    return eval(re.sub(r"(?<=\d)ull\b", "", text.replace("UINT64_MAX", str((1 << 64) - 1))), {})


def test_the_parser_reads_the_header():
    """Else the other tests would compare nothing."""
    assert len(functions()) == len(re.findall(r"\bslipring_\w+\([^)]*\);", re.sub(r"typedef.*?;", "", TEXT, flags=re.S)))
    assert {"slipring_status", "slipring_op", "slipring_mode", ""} <= {name for name, _ in enums()}
    assert fits("const void *", ctypes.c_char_p) and not fits("uint32_t", ctypes.c_uint64)


def test_every_enum_value():
    for name, constants in enums():
        values = {constant[len("SLIPRING_"):]: value_of(text) for constant, text in constants.items()}
        if name == "slipring_op":
            values = {constant[len("OP_"):]: value for constant, value in values.items()}
        if name:
            assert {one.name: one.value for one in c.ENUMS[name]} == values
        else:
            assert {constant: getattr(c, constant, None) for constant in values} == values
            assert all(getattr(slipring, constant) == value for constant, value in values.items())


def test_every_macro():
    macros = dict(re.findall(r"^#define SLIPRING_(\w+) (.+)$", TEXT, re.M))
    assert {"VERSION_MAJOR", "TTL_MS_MAX", "TTL_NEVER"} <= set(macros)
    assert {name: getattr(c, name, None) for name in macros} == {name: value_of(text) for name, text in macros.items()}


def test_every_function_has_its_prototype():
    declared = functions()
    assert set(declared) == set(c.PROTOTYPES)
    for name, (returns, types) in declared.items():
        bound_returns, bound_types = c.PROTOTYPES[name]
        assert fits(returns, bound_returns), f"{name} returns {returns}"
        assert len(types) == len(bound_types), name
        for declared_type, bound in zip(types, bound_types):
            assert fits(declared_type, bound), f"{name} takes {declared_type}, not {bound.__name__}"


def test_every_exported_function_is_declared():
    out = subprocess.run(["nm", "-D", "--defined-only", os.path.join(BUILD, "libslipring.so.0")], text=True,
                         capture_output=True, check=True).stdout
    assert set(re.findall(r" T (slipring_\w+)", out)) == set(c.PROTOTYPES)


def test_every_function_is_called_by_the_package():
    """A prototype that nothing calls would be no binding."""
    source = ""
    for name in ("cache.py", "errors.py"):
        with open(os.path.join(os.path.dirname(slipring.__file__), name)) as f:
            source += f.read()
    assert [name for name in c.PROTOTYPES if not re.search(rf"\.{name}\b", source)] == []


def test_every_status_has_an_exception():
    for status in c.Status:
        error = slipring.error_of(status)
        assert error.status == status and str(error) == slipring.status_text(status)
        assert type(error) is not slipring.Error
        assert slipring.status_name(status) == status.name.lower()
    assert isinstance(slipring.error_of(9999), slipring.Refused)


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """{"slipring_result": size, "slipring_result.value": (offset, size)} as the compiler has them."""
    folder = tmp_path_factory.mktemp("layout")
    lines = []
    for name, body in re.findall(r"struct (\w+) \{(.*?)\n\};", TEXT, re.S):
        lines.append(f'printf("{name} %zu 0\\n", sizeof(struct {name}));')
        for declaration in body.split(";"):
            for field in re.findall(r"(\w+)(?:\[[^\]]*\])?(?:,|\s*$)", declaration.strip()):
                lines.append(f'printf("{name}.{field} %zu %zu\\n", offsetof(struct {name}, {field}), '
                             f'sizeof(((struct {name} *)0)->{field}));')
    (folder / "layout.c").write_text('#include <stdio.h>\n#include "slipring.h"\nint main(void)\n{\n' + "\n".join(lines) + "\n}\n")
    subprocess.run(["gcc", "-I", os.path.dirname(HEADER), "-o", folder / "layout", folder / "layout.c"], check=True)
    out = subprocess.run([folder / "layout"], text=True, capture_output=True, check=True).stdout
    return {name: (int(first), int(second)) for name, first, second in (line.split() for line in out.splitlines())}


def test_every_structure_has_its_layout(layout):
    bound = {}
    for name, structure in c.STRUCTURES.items():
        bound[name] = (ctypes.sizeof(structure), 0)
        for field, *_ in structure._fields_:
            at = getattr(structure, field)
            bound[f"{name}.{field}"] = (at.offset, at.size)
    assert bound == layout


def test_what_is_public_is_documented():
    for name in slipring.__all__:
        one = getattr(slipring, name)
        if isinstance(one, type) or callable(one):
            assert one.__doc__, name
    for name, method in vars(slipring.Cache).items():
        if callable(method) and name not in ("__init__", "__enter__", "__exit__", "__del__", "__repr__") \
                and (not name.startswith("_") or name.startswith("__")):
            assert method.__doc__, name
