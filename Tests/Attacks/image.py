"""Reads an x86-64 ELF file as an attacker does: where its functions are, and which useful instructions its code happens to hold."""

import re
import struct
from itertools import permutations

REGISTERS = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"]
SYSCALL_RET = b"\x0f\x05\xc3"


class Missing(Exception):
    """The file holds no such symbol or gadget: this attack cannot be built from it."""


class Image:
    """An ELF file, loaded at `base` (0 for one with fixed addresses). Every address given out has the base in it."""

    def __init__(self, path):
        self.path = path
        self.base = 0
        with open(path, "rb") as file:
            self.bytes = file.read()
        if self.bytes[:6] != b"\x7fELF\x02\x01":
            raise Missing(f"{path}: not a 64-bit little-endian ELF file")
        self.kind, = struct.unpack_from("<H", self.bytes, 16)  # 2 ET_EXEC, 3 ET_DYN
        self.segments = list(self._segments())  # (vaddr, file offset, file size), executable ones
        self.symbols = dict(self._symbols())
        self._pops = None

    def _segments(self):
        offset, = struct.unpack_from("<Q", self.bytes, 32)
        size, count = struct.unpack_from("<HH", self.bytes, 54)
        for n in range(count):
            kind, flags, at, vaddr, _, length, _, _ = struct.unpack_from("<IIQQQQQQ", self.bytes, offset + n * size)
            if kind == 1 and flags & 1:  # PT_LOAD, PF_X
                yield vaddr, at, length

    def _symbols(self):
        offset, = struct.unpack_from("<Q", self.bytes, 40)
        size, count, _ = struct.unpack_from("<HHH", self.bytes, 58)
        headers = [struct.unpack_from("<IIQQQQIIQQ", self.bytes, offset + n * size) for n in range(count)]
        for _, kind, _, _, at, length, link, _, _, entry in headers:
            if kind not in (2, 11):  # SHT_SYMTAB, SHT_DYNSYM
                continue
            strings = headers[link][4]
            for n in range(length // entry):
                name, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", self.bytes, at + n * entry)
                if section and value:
                    end = self.bytes.index(b"\0", strings + name)
                    yield self.bytes[strings + name:end].decode(errors="replace"), value

    def symbol(self, name):
        if name not in self.symbols:
            raise Missing(f"{self.path} has no symbol {name}")
        return self.base + self.symbols[name]

    def code(self, address, count):
        """The `count` bytes of code at `address`."""
        for vaddr, at, length in self.segments:
            if vaddr <= address - self.base < vaddr + length:
                start = at + address - self.base - vaddr
                return self.bytes[start:start + count]
        raise Missing(f"{self.path}: {address:#x} is no code")

    def find(self, pattern):
        """The addresses at which the executable segments hold `pattern` (a compiled expression over bytes), lowest first."""
        for vaddr, at, length in self.segments:
            for match in pattern.finditer(self.bytes, at, at + length):
                yield self.base + vaddr + match.start() - at

    def find_bytes(self, wanted):
        for address in self.find(re.compile(re.escape(wanted), re.S)):
            return address
        raise Missing(f"{self.path} holds no bytes {wanted.hex(' ')}")

    def calls_to(self, target):
        """The return addresses of the direct calls (e8 rel32) whose target is `target`."""
        for address in self.find(re.compile(rb"\xe8(?=[\s\S]{4})")):
            displacement, = struct.unpack("<i", self.code(address + 1, 4))
            if address + 5 + displacement == target:
                yield address + 5

    # Gadgets

    def pops(self):
        """Runs of pops that end in ret: {registers popped, in order: address}."""
        if self._pops is None:
            self._pops = {}
            # pop rax…rdi is 58+r; pop r8…r15 is 41 58+r.
            for address in self.find(re.compile(rb"(?=((?:\x41?[\x58-\x5f]){1,5})\xc3)")):
                popped, prefix = [], 0
                for byte in self.code(address, 11):
                    if byte == 0xC3:
                        break
                    if byte == 0x41:
                        prefix = 8
                    else:
                        popped.append(REGISTERS[byte - 0x58 + prefix])
                        prefix = 0
                self._pops.setdefault(tuple(popped), address - self.base)
        return self._pops

    def pop(self, register):
        """The shortest gadget that pops `register`: (its address, the registers it pops, in order)."""
        useful = [p for p in self.pops() if register in p and ("rsp" not in p or p == ("rsp",))]
        if not useful:
            raise Missing(f"{self.path} holds no pop {register}; … ret")
        best = min(useful, key=len)
        return self.base + self.pops()[best], best

    def load(self, **values):
        """The words of a chain that puts `values` into the registers named, none of them spoilt by a later pop."""
        gadgets = {register: self.pop(register) for register in values}
        for order in permutations(values):
            done, spoilt, words = set(), False, []
            for register in order:
                address, popped = gadgets[register]
                spoilt |= any(p in done and p != register for p in popped)
                words += [address] + [values.get(p, 0x4141414141414141) for p in popped]
                done |= set(popped) & set(values)
            if not spoilt:
                return words
        raise Missing(f"{self.path}: the pops of {', '.join(values)} spoil one another")

    def store(self, address, value):
        """The words of a chain that writes `value` to `address`: mov [register], register; ret (48 89 modrm c3)."""
        for at in self.find(re.compile(rb"\x48\x89[\x00-\x3f]\xc3")):
            modrm = self.code(at + 2, 1)[0]
            source, target = REGISTERS[modrm >> 3], REGISTERS[modrm & 7]
            if source == target or "rsp" in (source, target) or target == "rbp":  # rm 4 and 5 mean something else
                continue
            try:
                return self.load(**{target: address, source: value}) + [at]
            except Missing:
                continue
        raise Missing(f"{self.path} holds no mov [register], register; ret")

    def borrowed_syscall(self):
        """A `syscall; ret` that a function has for a call of its own: mov eax, number; syscall; ret at the function's start."""
        pattern = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?\xb8[\s\S]{4}\x0f\x05\xc3")
        for name, value in sorted(self.symbols.items(), key=lambda symbol: symbol[1]):
            try:
                match = pattern.match(self.code(self.base + value, 12))
            except Missing:
                continue
            if match:
                return self.base + value + match.end() - len(SYSCALL_RET)
        return self.find_bytes(SYSCALL_RET)

    def start_return(self):
        """Where the call in _start would return to, which it never does: the hlt behind it."""
        start = self.symbol("_start")
        match = re.search(rb"(?:\xff\x15|\x67\xe8|\xe8)[\s\S]{4}(?=\xf4)", self.code(start, 64))
        if not match:
            raise Missing(f"{self.path}: _start calls nothing")
        return start + match.end()
