import ELF
import Flow
import Foundation
import Samples
import Testing
import Unwind
import Wire

@testable import Inspection

/// Every `syscall` instruction of a C library, and the numbers that can leave from it.
@Suite struct NumberTests {
  struct Site {
    var address: ImageAddress
    var function: String
    var numbers: Numbers
  }

  /// What the functions that tables, symbols and calls tell of hold.
  private func sites(_ path: String) throws -> [Site] {
    let image = try Image(Source([UInt8](Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped))))
    var sites: [Site] = []
    for segment in image.file.segments where segment.isExecutable {
      var code: [UInt8] = []
      while code.count < Int(segment.fileBytes) {
        let left = Int(segment.fileBytes) - code.count
        code += try image.file.bytes(at: segment.address + UInt64(code.count), upTo: min(left, ObjectFile.maxReadBytes))
      }
      for offset in 0..<(code.count - 1) where code[offset] == 0x0f && code[offset + 1] == 0x05 {
        let address = segment.address + UInt64(offset)
        var budget = Budget(1 << 28)
        guard image.point(address + 2, .trapped, budget: &budget).objections.isEmpty else { continue }
        sites.append(
          Site(
            address: address, function: image.function(at: address)?.name ?? "",
            numbers: try image.numbers(at: address, budget: &budget)))
      }
    }
    return sites
  }

  /// asm/unistd_64.h
  private func systemCalls() throws -> [String: Int32] {
    var numbers: [String: Int32] = [:]
    for line in try String(contentsOfFile: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", encoding: .utf8).split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 3, words[1].hasPrefix("__NR_"), let number = Int32(words[2]) else { continue }
      numbers[String(words[1].dropFirst(5))] = number
    }
    return numbers
  }

  /// Functions that are named after another call than the one they make; musl makes those that can be cancelled elsewhere.
  private static let others: [String: [String]] = [
    "exit": ["exit_group"], "open": ["openat", "fcntl"], "faccessat": ["faccessat2"], "pipe": ["pipe2"], "getrlimit": ["prlimit64"],
    "setrlimit": ["prlimit64"], "select": ["pselect6"], "clone": ["exit"], "signalfd": ["signalfd4"], "eventfd": ["eventfd2"],
    "mlock2": ["mlock"], "getdents": ["getdents64"], "getpgrp": ["getpgid"], "accept4": ["fcntl"],
  ]

  @Test(arguments: [
    ("/lib/x86_64-linux-gnu/libc.so.6", 500, 0.97), ("/usr/lib/ld-musl-x86_64.so.1", 400, 0.9),
  ])
  func `a C library's functions make the calls that they are named after`(path: String, count: Int, share: Double) throws {
    guard FileManager.default.fileExists(atPath: path) else { try Test.cancel("\(path) is not installed") }
    let numbers = try systemCalls()
    let sites = try sites(path)
    var told = 0
    var made: [String: Set<Int32>] = [:]
    for site in sites {
      guard case .only(let found) = site.numbers else { continue }
      told += 1
      made[String(site.function.drop { $0 == "_" }), default: []].formUnion(found)
    }
    for (name, made) in made {
      guard let own = numbers[name] else { continue }
      let others = (NumberTests.others[name] ?? []).compactMap { numbers[$0] }
      #expect(!made.isDisjoint(with: [own] + others), "\(name) makes \(made)")
    }
    #expect(sites.count > count && Double(told) > share * Double(sites.count), "\(told) of \(sites.count)")
    let generic = sites.filter { $0.function == "syscall" }
    #expect(generic.count == 1 && generic[0].numbers == .any)
  }

  private func inspected(_ number: Int32, code: [UInt8]? = nil) -> Finding {
    var image = SampleImage.chain
    if let code { image.code.replaceSubrange(0x40..<(0x40 + code.count), with: code) }
    var snapshot = Snapshot()
    snapshot.number = number
    snapshot.instruction = SampleImage.codeAddress + 0x47
    snapshot.registers[Registers.rsp] = ArraySpace.startStack - 16 - 40
    snapshot.startStack = ArraySpace.startStack
    snapshot.borrowsMemory = false
    let words: [UInt64] = [SampleImage.codeAddress + 0x29, 1, 2, 3, SampleImage.codeAddress + 0x10]
    let before = [UInt64](repeating: 0, count: Int((ArraySpace.startStack - 16 - 40 - ArraySpace.stackStart) / 8))
    var space = ArraySpace(image, words: before + words)
    return inspect(snapshot, in: &space)
  }

  @Test func `another number than its function's is objected to`() {
    #expect(inspected(59).isClean)
    #expect(inspected(10).violations == [Violation(check: .site, frame: 0, reason: .otherNumber, detail: "59")])
    // mov %rdi,%rax; nop; nop; syscall: it makes any call
    #expect(inspected(10, code: [0x48, 0x89, 0xf8, 0x90, 0x90, 0x0f, 0x05, 0xc3]).isClean)
  }

  @Test func `a call that the kernel restarts has the kernel's number`() { #expect(inspected(219).isClean) }
}
