import ELF
import Foundation
import Samples
import Testing

@Suite struct ObjectFileTests {
  private let sample = SampleImage(code: [0x0f, 0x05, 0xc3]).bytes

  private func error(_ bytes: [UInt8]) -> ELFError? {
    do throws(ELFError) { _ = try ObjectFile(Source(bytes)) } catch { return error }
    return nil
  }

  private func with(_ changes: (at: Int, bytes: [UInt8])...) -> [UInt8] {
    var bytes = sample
    for change in changes { bytes.replaceSubrange(change.at..<(change.at + change.bytes.count), with: change.bytes) }
    return bytes
  }

  @Test func `segments map addresses both ways`() throws {
    let file = try ObjectFile(Source(sample))
    #expect(file.entry == ImageAddress(SampleImage.codeAddress))
    #expect(file.executableAddress(ofFileOffset: SampleImage.codeOffset + 2) == ImageAddress(SampleImage.codeAddress + 2))
    #expect(file.executableAddress(ofFileOffset: SampleImage.codeOffset + 3) == nil, "past what the file fills")
    #expect(file.executableAddress(ofFileOffset: 0) == nil, "the headers are no code")
    #expect(try file.bytes(at: ImageAddress(SampleImage.codeAddress), count: 3) == [0x0f, 0x05, 0xc3])
    #expect(throws: ELFError.self) { try file.bytes(at: ImageAddress(SampleImage.codeAddress), count: 4) }
    #expect(file.frameHeader?.start == ImageAddress(SampleImage.headerAddress))
  }

  @Test func `what is no x86-64 ELF file is refused, each for its reason`() {
    #expect(error([]) == .unreadable(offset: 0, count: 64))
    #expect(error(Array("#!/bin/sh\n".utf8) + [UInt8](repeating: 10, count: 64)) == .notELF)
    #expect(error(with((4, [1]))) == .unsupported(.ident))  // 32 bits
    #expect(error(with((5, [2]))) == .unsupported(.ident))  // big-endian
    #expect(error(with((16, [1]))) == .unsupported(.type))  // ET_REL
    #expect(error(with((16, [4]))) == .unsupported(.type))  // ET_CORE
    #expect(error(with((18, [183]))) == .unsupported(.machine))
    #expect(error(with((54, [57]))) == .malformed(.programHeaders))
    #expect(error(with((56, [0, 0]))) == .malformed(.programHeaders))
    #expect(error(with((56, [0xff, 0xff]))) == .tooLarge(.programHeaders, 0xffff))
  }

  @Test func `segments that wrap, or fill more than they span, are refused`() {
    let all = [UInt8](repeating: 0xff, count: 8)
    #expect(error(with((64 + 8, all))) == .malformed(.segment))  // p_offset + p_filesz
    #expect(error(with((64 + 16, all))) == .malformed(.segment))  // p_vaddr + p_memsz
    #expect(error(with((64 + 40, [1, 0, 0, 0, 0, 0, 0, 0]))) == .malformed(.segment))  // p_filesz > p_memsz
  }

  @Test func `every truncation of a real file is an error or an answer`() throws {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "/lib64/ld-linux-x86-64.so.2")))
    for count in Array(stride(from: 0, to: 4096, by: 7)) + Array(stride(from: 4096, to: bytes.count, by: 4999)) {
      poke(Array(bytes[..<count]))
    }
  }

  @Test func `no mutation of a real file's headers traps`() throws {
    let path = "/lib64/ld-linux-x86-64.so.2"
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    let sections = Int(bytes[40..<48].reversed().reduce(0) { $0 << 8 | UInt64($1) })
    var random = Seeded(7)
    for _ in 0..<1500 {
      var changed = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let region = Bool.random(using: &random) ? 0..<700 : sections..<bytes.count
        let at = Int.random(in: region, using: &random)
        changed[at] = [0, 0xff, 0x7f, 0x80, UInt8.random(in: 0...255, using: &random)].randomElement(using: &random)!
      }
      poke(changed)
    }
  }

  /// Asks everything there is to ask.
  private func poke(_ bytes: [UInt8]) {
    do throws(ELFError) {
      let file = try ObjectFile(Source(bytes))
      do throws(ELFError) { _ = try file.buildID() } catch {}
      do throws(ELFError) { _ = try file.section(named: ".eh_frame") } catch {}
      do throws(ELFError) {
        let functions = try file.functions()
        for function in functions.sorted.prefix(5) { _ = try file.bestName(of: function) }
        _ = functions.covering(ImageAddress(.max))
      } catch {}
      _ = file.executableAddress(ofFileOffset: .max)
    } catch {}
  }

  @Test func `function symbols are found by the addresses they cover, and by their plainest name`() throws {
    let path = "/lib/x86_64-linux-gnu/libc.so.6"
    let file = try ObjectFile(Source([UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))))
    let functions = try file.functions()
    let execve = try #require(try functions.sorted.first { try file.name(of: $0) == "__execve" || (try file.name(of: $0)) == "execve" })
    #expect(functions.covering(execve.start)?.start == execve.start)
    #expect(functions.covering(ImageAddress(execve.start.value + execve.count - 1))?.start == execve.start)
    #expect(try file.bestName(of: execve) == "execve")
    #expect(functions.covering(ImageAddress(0)) == nil)
    #expect(try file.buildID()?.count == 40)
  }

  @Test func `a source that fails or lies is unreadable`() {
    let bytes = sample
    var calls = 0
    let source = Source(sizeBytes: UInt64(bytes.count)) { (offset, count) throws(Source.Unreadable) in
      calls += 1
      if calls > 2 { throw Source.Unreadable() }
      return Array(bytes[Int(offset)..<(Int(offset) + count)])
    }
    #expect(throws: ELFError.unreadable(offset: SampleImage.codeOffset, count: 3)) {
      try ObjectFile(source).bytes(at: ImageAddress(SampleImage.codeAddress), count: 3)
    }
    #expect(throws: ELFError.unreadable(offset: 0, count: 64)) {
      try ObjectFile(Source(sizeBytes: 1 << 40) { (_, _) throws(Source.Unreadable) in [1, 2, 3] })
    }
  }
}
