import Foundation
import Inspection
import Testing
import Wire

/// A process some of whose words are others.
private struct Patched: AddressSpace {
  var process: LiveProcess
  var words: [UInt64: UInt64]

  mutating func mapping(at address: UInt64) throws(Unreadable) -> Mapping? { process.mapping(at: address) }
  mutating func ownPages(from address: UInt64, count: Int) throws(Unreadable) -> [Int]? {
    try process.ownPages(from: address, count: count)
  }
  mutating func image(of mapping: Mapping) throws(Unreadable) -> Image? { try process.image(of: mapping) }
  mutating func codeMappings() throws(Unreadable) -> [Mapping] { process.codeMappings() }
  mutating func read(at address: UInt64, upTo count: Int) throws(Unreadable) -> [UInt8] {
    patched(try process.read(at: address, upTo: count), at: address)
  }

  func patched(_ bytes: [UInt8], at address: UInt64) -> [UInt8] {
    var bytes = bytes
    for (place, word) in words {
      for byte in UInt64(0)..<8 {
        let offset = place &+ byte &- address
        if offset < UInt64(bytes.count) { bytes[Int(offset)] = UInt8(truncatingIfNeeded: word >> (8 * byte)) }
      }
    }
    return bytes
  }
}

/// Frames that are passed because they are known: what is found, and what it rests on, is what judging each of them finds.
@Suite(.serialized) struct KnownFrameTests {
  private struct Totals {
    var compared = 0
    var objected = 0
    var known = 0
  }

  private func findings(
    _ snapshot: Snapshot, _ words: [UInt64: UInt64], _ process: LiveProcess, _ permissions: Set<Permission>
  ) -> (known: Finding, general: Finding) {
    var space = Patched(process: process, words: words)
    var snapshot = snapshot
    if let stackPointer = snapshot.registers[Registers.rsp] { snapshot.stack = space.patched(snapshot.stack, at: stackPointer) }
    var general = Limits()
    general.passesKnown = false
    // What is asked of files for the first time looks at all of them.
    _ = inspect(snapshot, in: &space, permissions: permissions)
    return (
      inspect(snapshot, in: &space, permissions: permissions), inspect(snapshot, in: &space, limits: general, permissions: permissions)
    )
  }

  /// Compares each stack as it is, and with one word changed that the finding rests on: to a small number, to another such word, to one
  /// that lies beside the right one, and to nothing.
  private func check(_ command: [String], at numbers: [Int32], limit: Int) throws -> Totals {
    var totals = Totals()
    let images = LiveProcess.Images()
    for permissions in [Set(Permission.allCases), []] {
      try stops(at: numbers, of: command, limit: limit, images: images, permissions: permissions) { _, _ in
      } again: { snapshot, finding, process in
        var altered: [[UInt64: UInt64]] = [[:]]
        if let words = finding.basis?.words, totals.compared < 3000 {
          for (index, word) in words.enumerated() {
            let other = words[(index * 7 + totals.compared) % words.count].low
            altered += [[word.address: other], [word.address: word.low &+ 8], [word.address: index % 2 == 0 ? 0 : 41]]
          }
        }
        for words in altered {
          let (known, general) = findings(snapshot, words, process, permissions)
          totals.compared += 1
          totals.objected += known.isClean ? 0 : 1
          if known != general {
            Issue.record(
              "\(command), syscall \(snapshot.number), \(words): \(shown(known)) \(known)\ninstead of \(shown(general)) \(general)")
            return
          }
        }
      }
    }
    totals.known = images.kept.values.reduce(0) { $0 + ($1?.knownFrames ?? 0) }
    return totals
  }

  @Test(arguments: ["O2", "O0", "frame-pointer", "lazy", "cet", "static", "static-pie", "no-pie", "bare", "musl", "musl-static"])
  func `known frames change no finding, in the tests' own programs`(flavour: String) throws {
    var all = Totals()
    for name in ["direct", "qsort", "vla", "cold", "thread", "thread-fork", "system", "signal", "coroutine", "altstack-heap"] {
      if flavour.hasPrefix("musl"), name == "coroutine" { continue }
      let totals = try check([try Workshop.made.get().path("cases-\(flavour)"), name], at: [110, 59, 105, 56, 58, 435], limit: 12)
      all = Totals(compared: all.compared + totals.compared, objected: all.objected + totals.objected, known: all.known + totals.known)
    }
    #expect(all.compared > 500 && all.objected > 100 && all.known > 50, "\(all)")
  }

  @Test(arguments: [
    ["bash", "-c", "for i in 1 2; do echo $(ls / | head -2) > /dev/null; done; exec true"],
    ["python3", "-c", "import json, subprocess, threading; subprocess.run(['true']); threading.Thread(target=print).start()"],
    ["perl", "-e", "sub f { my $n = shift; $n ? f($n - 1) : system('true') } f(20)"],
    ["gcc", "-O2", "-x", "c", "/dev/null", "-c", "-o", "/dev/null"],
  ])
  func `known frames change no finding, in programs of the machine`(command: [String]) throws {
    let totals = try check(command, at: [1, 3, 9, 10, 56, 57, 59, 435], limit: 40)
    if totals.compared < 5 { try Test.cancel("\(command[0]) is not installed") }
    #expect(totals.objected > 20 && totals.known > 20, "\(totals)")
  }
}
