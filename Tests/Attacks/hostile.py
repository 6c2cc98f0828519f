"""ELF files that no linker would write, with a function in them that calls execve: what an attacker may put before an unwinder.

Each has its headers and tables in the first page and its code at 0x1000. What is wrong is wrong in one place only.
"""

import struct

PAGE = 0x1000
HEADER, FRAMES = 0x400, 0x440  # .eh_frame_hdr, .eh_frame
TABLES = 0x2000                # where larger tables begin

# sub $8, %rsp; mov (%rdx), %rax; xor %edx, %edx; call *%rax; add $8, %rsp; ret
CODE = bytes.fromhex("4883ec08 488b02 31d2 ffd0 4883c408 c3")
# The same below 100,000 frames of 16 bytes: sub $8, %rsp; mov $100000, %ecx; call deeper; add $8, %rsp; ret; and
# deeper: sub $8, %rsp; dec %ecx; je last; call deeper; jmp out; last: mov (%rdx), %rax; xor %edx, %edx; call *%rax; out: add $8, %rsp; ret
DEEP = bytes.fromhex("4883ec08 b9a0860100 e805000000 4883c408 c3")
DEEPER = bytes.fromhex("4883ec08 ffc9 7407 e8f3ffffff eb07 488b02 31d2 ffd0 4883c408 c3")

DEF_CFA, DEF_CFA_OFFSET, DEF_CFA_EXPRESSION, DEF_CFA_SF, OFFSET_RA, ADVANCE = 0x0C, 0x0E, 0x0F, 0x12, 0x90, 0x40
START = bytes([DEF_CFA, 7, 8, OFFSET_RA, 1])      # CFA = rsp + 8; return address at CFA - 8
BEHIND_SUB = bytes([ADVANCE | 4, DEF_CFA_OFFSET, 16])


def uleb(value):
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def record(body):
    body += bytes(-len(body) % 8)
    return struct.pack("<I", len(body)) + body


def cie(instructions=START, augmentation=b"\x01\x1b"):
    return record(struct.pack("<I", 0) + b"\x01zR\0" + b"\x01\x78\x10" + augmentation + instructions)


def fde(at, first, instructions, size=len(CODE), start=PAGE):
    """An FDE that lies at `at`, of the CIE at `first`."""
    return record(struct.pack("<IiI", at + 4 - first, start - (at + 8), size) + b"\0" + instructions)


def expression(body):
    return bytes([ADVANCE | 4, DEF_CFA_EXPRESSION]) + uleb(len(body)) + body


class File:
    """The parts, and where they go; a case changes some of them."""

    def __init__(self):
        self.at = FRAMES
        self.code = CODE
        self.common = cie()
        self.instructions = BEHIND_SUB
        self.size = len(CODE)
        self.segments = [(1, 4, 0, 0, PAGE), (1, 5, PAGE, PAGE, PAGE)]  # kind, flags, offset, address, size
        self.table = None       # the words of .eh_frame_hdr's table; None: the one that is right
        self.count = None
        self.frames_pointer = None
        self.frames = None      # the whole of .eh_frame
        self.length = None      # of the file; None: all of it
        self.fields = {}        # of the ELF header: offset in it: packed value

    def bytes(self):
        frames = self.frames
        entry = self.at + len(self.common)
        if frames is None:
            frames = self.common + fde(entry, self.at, self.instructions, self.size) + bytes(4)
        table = self.table if self.table is not None else struct.pack("<ii", PAGE - HEADER, entry - HEADER)
        count = self.count if self.count is not None else len(table) // 8
        pointer = self.frames_pointer if self.frames_pointer is not None else self.at - (HEADER + 4)
        search = b"\x01\x1b\x03\x3b" + struct.pack("<iI", pointer, count) + table
        segments = self.segments + [(0x6474E550, 4, HEADER, HEADER, len(search))]
        header = bytearray(b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
            "<HHIQQQIHHHHHH", 3, 62, 1, PAGE, 64, 0, 0, 64, 56, len(segments), 64, 0, 0))
        for offset, value in self.fields.items():
            header[offset:offset + len(value)] = value
        end = TABLES + PAGE
        image = bytearray(max(end, self.at + len(frames)))
        image[:64] = header
        for n, (kind, flags, offset, address, size) in enumerate(segments):
            struct.pack_into("<IIQQQQQQ", image, 64 + 56 * n, kind, flags, offset, address, address, size, size, PAGE)
        image[HEADER:HEADER + len(search)] = search
        image[PAGE:PAGE + len(self.code)] = self.code
        image[self.at:self.at + len(frames)] = frames
        return bytes(image[:self.length])

    def large(self):
        """The frames go behind the code, where there is room for any number."""
        self.at = TABLES
        return self


def plain(file):
    """Nothing is wrong but that the file is the attacker's."""


def cyclic_cfa(file):
    """Each frame's caller is itself: CFA = rsp."""
    file.instructions = bytes([ADVANCE | 4, DEF_CFA_OFFSET, 0])


def sinking_cfa(file):
    """CFA = rsp - 64: the stack goes down."""
    file.instructions = bytes([ADVANCE | 4, DEF_CFA_SF, 7, 8])


def deep_frames(file):
    """100,000 frames."""
    file.code = DEEP + DEEPER
    first = file.at + len(file.common)
    outer = fde(first, file.at, BEHIND_SUB, len(DEEP))
    second = first + len(outer)
    file.frames = file.common + outer + fde(second, file.at, BEHIND_SUB, len(DEEPER), PAGE + len(DEEP)) + bytes(4)
    file.table = struct.pack("<4i", PAGE - HEADER, first - HEADER, PAGE + len(DEEP) - HEADER, second - HEADER)


def huge_fde(file):
    """One function that is said to have 4 GiB."""
    file.size = 0xFFFFFFFF


def endless_expression(file):
    """DW_OP_skip back to itself."""
    file.instructions = expression(b"\x2f\xfd\xff")


def doubling_expression(file):
    """60,000 times DW_OP_dup."""
    file.large().instructions = expression(b"\x77\x10" + b"\x12" * 60000)


def nested_expression(file):
    """Two loops, one in the other, each of which counts down from a very large number."""
    loop = b"\x30\x09\xff" + b"\x31\x1c\x12\x28\xfa\xff"
    file.instructions = expression(b"\x77\x10" + loop * 6)


def remembered_states(file):
    """60,000 times DW_CFA_remember_state."""
    file.large().instructions = b"\x0a" * 60000 + BEHIND_SUB


def many_rows(file):
    """Two million instructions that change nothing."""
    file.large().instructions = bytes([ADVANCE | 4]) + bytes([DEF_CFA_OFFSET, 16]) * 1000000


def own_cie(file):
    """An FDE that names itself as its CIE."""
    entry = file.at + len(file.common)
    file.frames = file.common + fde(entry, entry, BEHIND_SUB) + bytes(4)


def endless_augmentation(file):
    """An augmentation length of more bits than any number has."""
    file.common = cie(augmentation=b"\xff" * 32 + b"\x01\x1b")


def huge_record(file):
    """A length of .eh_frame that reaches far behind the file."""
    file.frames = struct.pack("<I", 0xFFFFFFF0) + cie()[4:]


def lying_count(file):
    """.eh_frame_hdr is said to have four thousand million entries."""
    file.count = 0xFFFFFFFF


def looping_table(file):
    """.eh_frame_hdr and all its entries point at .eh_frame_hdr."""
    file.frames_pointer = -4
    file.table = struct.pack("<ii", PAGE - HEADER, 0) * 16


def unsorted_table(file):
    """.eh_frame_hdr's table falls instead of rising."""
    entry = file.at + len(file.common)
    file.table = b"".join(struct.pack("<ii", PAGE - HEADER - n, entry - HEADER) for n in range(16))


def overlapping_entries(file):
    """20,000 FDEs for the same function, each with another size."""
    file.large()
    parts, at = [file.common], file.at + len(file.common)
    for n in range(20000):
        parts.append(fde(at, file.at, bytes([ADVANCE | 4, DEF_CFA_OFFSET, 8 + n % 8 * 8]), len(CODE) + n % 1000))
        at += len(parts[-1])
    file.frames = b"".join(parts) + bytes(4)
    file.count = 0


def overlapping_segments(file):
    """The code's addresses are given by two segments, from different places of the file."""
    file.segments += [(1, 5, 0, PAGE, PAGE), (1, 5, TABLES, PAGE - 16, PAGE)]


def wrapping_segment(file):
    """A segment that ends behind the last address."""
    file.segments += [(1, 5, PAGE, 0xFFFFFFFFFFFFF000, 0x2000), (1, 5, 0xFFFFFFFFFFFFF000, PAGE, 0xFFFFFFFFFFFFFFFF)]


def missing_headers(file):
    """The program headers lie behind the file's end."""
    file.fields = {32: struct.pack("<Q", 0x7FFFFFFFFFFFFFF0), 56: struct.pack("<H", 0xFFFF)}


def truncated_header(file):
    """The header says of its own entries that they have three bytes."""
    file.fields = {54: struct.pack("<HH", 3, 0xFFFF), 58: struct.pack("<HHH", 1, 0xFFFF, 0xFFFE), 40: struct.pack("<Q", 0x30)}


def cut_off(file):
    """The file ends before its tables."""
    file.large().length = PAGE + 64


def endless_symbols(file):
    """A symbol table that covers the whole file, with names that do not end."""
    file.fields = {40: struct.pack("<Q", 0x800), 58: struct.pack("<HHH", 64, 3, 2)}


CASES = [plain, cyclic_cfa, sinking_cfa, deep_frames, huge_fde, endless_expression, doubling_expression, nested_expression,
         remembered_states, many_rows, own_cie, endless_augmentation, huge_record, lying_count, looping_table, unsorted_table,
         overlapping_entries, overlapping_segments, wrapping_segment, missing_headers, truncated_header, cut_off, endless_symbols]


def name(case):
    return "hostile-" + case.__name__.replace("_", "-")


def write(path, case):
    file = File()
    case(file)
    content = bytearray(file.bytes())
    if case is endless_symbols:
        for n, (kind, offset, size) in enumerate([(0, 0, 0), (2, 0, 1 << 40), (3, PAGE - 16, 1 << 40)]):
            struct.pack_into("<IIQQQQIIQQ", content, 0x800 + 64 * n, 0, kind, 0, 0, offset, size, 2, 0, 8, 24)
        content[PAGE - 16:PAGE] = b"A" * 16
    with open(path, "wb") as out:
        out.write(content)
