import BPF
import Foundation
import Testing

/// What a glance shows of a stack that is looked at through the page tables.
@Suite struct GlanceTests {
  /// A program that waits with its SP so far above a page that was never touched. Each word above it holds its own address.
  private static let source = """
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/mman.h>
    int main(int count, char **words) {
      char *memory = mmap(0, 32768, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      for (char *place = memory + 16384; place < memory + 32768; place += 8) *(char **)place = place;
      char *stack = memory + 16384 + atol(words[count - 1]);
      printf("%lu\\n", (unsigned long)stack);
      fflush(stdout);
      __asm__ volatile("mov %0, %%rsp\\n mov $34, %%eax\\n syscall\\n hlt" : : "r"(stack) : "rax", "memory"); /* pause(2) */
    }
    """

  @Test(arguments: [0, 8, 128, 248, 256, 264, 4088]) func `what lies below SP ends where its memory does`(_ offset: UInt64) throws {
    guard geteuid() == 0 else { try Test.cancel("loading a BPF program needs root") }
    guard let programs = ProcessInfo.processInfo.environment["CALLGATE_PROGRAMS"] else {
      try Test.cancel("CALLGATE_PROGRAMS does not say where the BPF object is")
    }
    let bpf = try BPFSnapshot.loaded(from: programs + "/callgate-snapshot.bpf.o")

    let folder = URL(fileURLWithPath: NSTemporaryDirectory() + "callgate-glance-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Self.source.write(to: folder.appending(path: "waits.c"), atomically: false, encoding: .utf8)
    let compiler = try Process.run(
      URL(fileURLWithPath: "/usr/bin/gcc"), arguments: ["-o", "\(folder.path)/waits", "\(folder.path)/waits.c"])
    compiler.waitUntilExit()
    let (waiting, said) = (Process(), Pipe())
    waiting.executableURL = folder.appending(path: "waits")
    waiting.arguments = ["\(offset)"]
    waiting.standardOutput = said
    try waiting.run()
    defer { kill(waiting.processIdentifier, SIGKILL) }
    let line = String(decoding: said.fileHandleForReading.availableData, as: UTF8.self)
    let stackPointer = try #require(UInt64(line.trimmingCharacters(in: .newlines)))

    let deadline = Date() + 10
    repeat {
      try bpf.run(UInt32(waiting.processIdentifier), want: 1024, isGlance: true)
    } while bpf.stackPointer != stackPointer && Date() < deadline
    #expect(bpf.stackPointer == stackPointer)
    #expect(bpf.copied == 1024)
    #expect(bpf.below == Int(min(offset, UInt64(BPFSnapshot.belowBytes))))
    let bytes = bpf.stackBelow + bpf.stack
    for at in stride(from: 0, to: bytes.count, by: 8) {
      let word = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
      #expect(word == stackPointer - UInt64(bpf.below) + UInt64(at))
    }
  }
}
