import Foundation
import Inspection
import Testing
import Wire

/// A process whose memory is what it is where a basis lists it, and anything else everywhere else, as if an attacker had written it.
private struct Altered: AddressSpace {
  var process: LiveProcess
  /// The words that are given, by their addresses; every other byte is a random one.
  var words: [UInt64: UInt64]
  var seed: UInt64

  mutating func mapping(at address: UInt64) throws(Unreadable) -> Mapping? { process.mapping(at: address) }
  mutating func ownPages(from address: UInt64, count: Int) throws(Unreadable) -> [Int]? {
    try process.ownPages(from: address, count: count)
  }
  mutating func image(of mapping: Mapping) throws(Unreadable) -> Image? { try process.image(of: mapping) }
  mutating func codeMappings() throws(Unreadable) -> [Mapping] { process.codeMappings() }

  mutating func read(at address: UInt64, upTo count: Int) throws(Unreadable) -> [UInt8] {
    let real = try process.read(at: address, upTo: count)
    return altered(real, at: address)
  }

  func altered(_ bytes: [UInt8], at address: UInt64) -> [UInt8] {
    var bytes = bytes
    for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: mixed(address &+ UInt64(index) &+ seed) >> 32) }
    for (place, word) in words {
      for byte in UInt64(0)..<8 {
        let offset = place &+ byte &- address
        if offset < UInt64(bytes.count) { bytes[Int(offset)] = UInt8(truncatingIfNeeded: word >> (8 * byte)) }
      }
    }
    return bytes
  }
}

/// SplitMix64: the tests are the same in each run.
private func mixed(_ value: UInt64) -> UInt64 {
  var z = value &+ 0x9e37_79b9_7f4a_7c15
  z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
  z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
  return z ^ (z >> 31)
}

/// That a finding is repeated where its basis is the same rests on this: nothing that the basis leaves out changes the finding.
@Suite(.serialized) struct BasisTests {
  /// The finding of a process that has nothing in common with `process` but what `basis` lists.
  private func finding(_ snapshot: Snapshot, _ basis: Basis, in process: LiveProcess, seed: UInt64) -> Finding {
    var words: [UInt64: UInt64] = [:]
    for (index, word) in basis.words.enumerated() {
      let span = word.high &- word.low
      let random = mixed(seed &+ UInt64(index))
      words[word.address] = word.low &+ (span == 0 ? 0 : span == .max ? random : random % (span + 1))
    }
    var space = Altered(process: process, words: words, seed: seed)
    var snapshot = snapshot
    for number in 0..<16 where basis.registers & 1 << UInt16(number) == 0 && number != Registers.rsp {
      snapshot.registers[number] = mixed(seed &- UInt64(number))
    }
    if let stackPointer = snapshot.registers[Registers.rsp] { snapshot.stack = space.altered(snapshot.stack, at: stackPointer) }
    return inspect(snapshot, in: &space, permissions: Set(Permission.allCases))
  }

  private func check(_ command: [String], at numbers: [Int32], limit: Int) throws -> (stops: Int, compared: Int) {
    var (stopped, compared) = (0, 0)
    // What is found of the files is kept: the first inspection of an edge looks at all of them, and says that it rests on too much.
    let images = LiveProcess.Images()
    for _ in 0..<2 {
      (stopped, compared) = (0, 0)
      try stops(at: numbers, of: command, limit: limit, images: images) { _, _ in
        stopped += 1
      } again: { snapshot, finding, process in
        guard let basis = finding.basis else { return }
        compared += 1
        for round in UInt64(0)..<8 {
          let other = self.finding(snapshot, basis, in: process, seed: mixed(round &+ UInt64(compared) << 8))
          var expected = finding
          // The words may be told in ranges of other words.
          expected.basis = other.basis
          if other != expected || other.basis?.words.map(\.address) != basis.words.map(\.address) {
            Issue.record(
              "\(command), syscall \(snapshot.number), round \(round): \(shown(other))\ninstead of \(shown(finding))\nby \(basis)")
            return
          }
        }
      }
    }
    return (stopped, compared)
  }

  @Test(arguments: ["O2", "O0", "frame-pointer", "lazy", "cet", "lto", "static", "static-pie", "bare", "musl", "musl-static"])
  func `nothing but the basis decides, in the tests' own programs`(flavour: String) throws {
    var all = (stops: 0, compared: 0)
    for name in [
      "direct", "qsort", "vla", "cold", "thread", "thread-fork", "system", "posix_spawn", "signal", "coroutine", "altstack-heap",
    ] {
      if flavour.hasPrefix("musl"), name == "coroutine" { continue }
      let command = [try Workshop.made.get().path("cases-\(flavour)"), name]
      let found = try check(command, at: [110, 59, 105, 56, 58, 435], limit: 20)
      all = (all.stops + found.stops, all.compared + found.compared)
    }
    #expect(all.compared * 2 > all.stops, "\(all)")
  }

  @Test(arguments: [
    ["bash", "-c", "for i in 1 2; do echo $(ls / | head -2) > /dev/null; done; exec true"],
    ["python3", "-c", "import json, subprocess, threading; subprocess.run(['true']); threading.Thread(target=print).start()"],
    ["perl", "-e", "sub f { my $n = shift; $n ? f($n - 1) : system('true') } f(20)"], ["git", "--no-pager", "help", "-a"],
    ["find", "/etc/alternatives", "-newer", "/etc/passwd"], ["gcc", "-O2", "-x", "c", "/dev/null", "-c", "-o", "/dev/null"],
  ])
  func `nothing but the basis decides, in programs of the machine`(command: [String]) throws {
    let found = try check(command, at: [0, 1, 3, 9, 10, 56, 57, 59, 257, 435, 262], limit: 150)
    if found.stops < 5 { try Test.cancel("\(command[0]) is not installed") }
    #expect(found.compared * 2 > found.stops, "\(found)")
  }
}
