import ELF
import Samples
import Testing
import Unwind
import Wire

/// Rows and steps of entries that are put together by hand.
@Suite struct RowTests {
  private static let start = ImageAddress(SampleImage.codeAddress)

  /// One function of 64 bytes with these call frame instructions.
  private func row(_ instructions: [UInt8], at offset: UInt64 = 32, common: [UInt8]? = nil) throws(UnwindError) -> Row {
    var image = SampleImage(code: [UInt8](repeating: 0x90, count: 256))
    image.entries = [.init(offset: 0, count: 64, instructions: instructions)]
    if let common { image.commonInstructions = common }
    return try row(image, at: offset)
  }

  private func row(_ image: SampleImage, at offset: UInt64) throws(UnwindError) -> Row {
    var budget = Budget(1 << 20)
    var table = FrameTable(open(image))
    guard case .entry(let entry) = try table.find(RowTests.start + offset, budget: &budget) else { throw .malformed(.table) }
    return try entry.row(at: RowTests.start + offset, budget: &budget)
  }

  private func open(_ image: SampleImage) -> ObjectFile {
    do throws(ELFError) { return try ObjectFile(Source(image.bytes)) } catch { fatalError("the sample is no ELF file: \(error)") }
  }

  private func thrown(_ body: () throws(UnwindError) -> Row) -> UnwindError? {
    do throws(UnwindError) { _ = try body() } catch { return error }
    return nil
  }

  @Test func `rows change where instructions advance`() throws {
    // push %rbp at 0; mov %rsp, %rbp at 1; leave at 48
    let code: [UInt8] = [0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x02, 44, 0x0c, 7, 8, 0xc6]
    let first = try row(code, at: 0)
    #expect(first.cfa == .register(7, offset: 8) && first.end == RowTests.start + 1)
    #expect(first.returnAddress == .saved(-8))
    let pushed = try row(code, at: 1)
    #expect(pushed.cfa == .register(7, offset: 16) && pushed.registers[6] == .saved(-16))
    let body = try row(code, at: 20)
    #expect(body.cfa == .register(6, offset: 16) && body.start == RowTests.start + 4 && body.end == RowTests.start + 48)
    let left = try row(code, at: 63)
    #expect(left.cfa == .register(7, offset: 8) && left.registers[6] == .unspecified && left.end == RowTests.start + 64)
  }

  @Test func `remembered states come back whole`() throws {
    // remember; def_cfa_offset 48, offset rbx; advance; restore
    let code: [UInt8] = [0x0a, 0x0e, 48, 0x83, 3, 0x50, 0x0b]
    #expect(try row(code, at: 3).cfa == .register(7, offset: 48))
    let after = try row(code, at: 40)
    #expect(after.cfa == .register(7, offset: 8) && after.registers[3] == .unspecified)
  }

  @Test func `args_size, vector columns and nops change nothing`() throws {
    let row = try row([0x2e, 0x80, 0x01, 0x00, 0x05, 17, 3, 0x0a, 0x0b])
    #expect(row.cfa == .register(7, offset: 8) && row.start == RowTests.start)
  }

  @Test(
    arguments: [
      [0x0b], [0x0e], [0x0c, 7], [0x0c, 33, 8], [0x41, 0x0e, 16, 0x04, 0xff, 0xff, 0xff, 0x7f], [0x02, 65], [0x1d], [0x3f], [0x0f, 0x80],
      [0x0f, 1, 0x97, 0x0e, 16], [0x0d, 99], [0x10, 3, 0xff, 0x7f], [0x83, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
      [0x0e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], [UInt8](repeating: 0x0a, count: 100),
      [0x01, 0, 0, 0, 0], [0x01, 0xff, 0xff, 0xff, 0x7f],
    ] as [[UInt8]])
  func `a malformed instruction is an error`(code: [UInt8]) {
    #expect(thrown { () throws(UnwindError) in try row(code) } != nil)
  }

  @Test func `an advance that wraps is an error`() {
    var image = SampleImage(code: [UInt8](repeating: 0x90, count: 256))
    image.entries = [.init(offset: 0, count: 64, instructions: [0x41])]
    var frames = image.tables().frames
    frames[12] = 0x7f  // code alignment 127
    image.frames = frames
    #expect(thrown { () throws(UnwindError) in try row(image, at: 4) } == .malformed(.row))
  }

  @Test func `a gap belongs to no function`() throws {
    var image = SampleImage(code: [UInt8](repeating: 0x90, count: 256))
    image.entries = [.init(offset: 16, count: 16, instructions: []), .init(offset: 64, count: 16, instructions: [])]
    for hasHeader in [true, false] {
      image.hasHeader = hasHeader
      guard hasHeader else { continue }
      var table = FrameTable(open(image))
      var budget = Budget(1000)
      for (offset, after, before) in [(0, nil, 16), (40, 16, 64), (32, 16, 64), (80, 64, nil)] as [(UInt64, UInt64?, UInt64?)] {
        guard case .gap(let entry, let next) = try table.find(RowTests.start + offset, budget: &budget) else {
          Issue.record("\(offset) is in no gap")
          continue
        }
        #expect(entry?.range.start == after.map { RowTests.start + $0 } && next == before.map { RowTests.start + $0 })
      }
    }
  }

  @Test func `headers that lie are errors`() {
    var image = SampleImage(code: [UInt8](repeating: 0x90, count: 256))
    image.entries = [.init(offset: 0, count: 64, instructions: [])]
    let good = image.tables().header
    for (at, bytes, expected) in [
      (0, [2], .unsupported(.header)), (8, [0xff, 0xff, 0xff, 0x7f], .malformed(.header)), (8, [3, 0, 0, 0], .malformed(.header)),
      (12, [1, 0, 0, 0], .malformed(.table)),
    ] as [(Int, [UInt8], UnwindError)] {
      var header = good
      header.replaceSubrange(at..<(at + bytes.count), with: bytes)
      image.header = header
      #expect(thrown { () throws(UnwindError) in try row(image, at: 8) } == expected, "at \(at)")
    }
    // The table's entry lies outside the file.
    image.header = good.dropLast() + [0x7f]
    #expect(thrown { () throws(UnwindError) in try row(image, at: 8) } != nil)
  }

  @Test func `an entry whose common entry is itself, a function or nothing is an error`() {
    var image = SampleImage(code: [UInt8](repeating: 0x90, count: 256))
    image.entries = [.init(offset: 0, count: 64, instructions: []), .init(offset: 64, count: 64, instructions: [])]
    let good = image.tables().frames
    let second = 4 + Int(good[0]) + 4 + Int(good[4 + Int(good[0])])
    for pointer: UInt32 in [4, 0xffff_fff0, 0x7fff_ffff, UInt32(second + 4 - (4 + Int(good[0])))] {
      var frames = good
      frames.replaceSubrange((second + 4)..<(second + 8), with: le(pointer))
      image.frames = frames
      #expect(thrown { () throws(UnwindError) in try row(image, at: 70) } != nil)
    }
    var long = good
    long.replaceSubrange(second..<(second + 4), with: le(UInt32.max))  // a 64-bit length
    image.frames = long
    #expect(thrown { () throws(UnwindError) in try row(image, at: 70) } == .tooLarge(.fde, 0xffff_ffff))
  }

  @Test func `no mutation of the tables traps, and none takes long`() {
    var image = SampleImage(code: [UInt8](repeating: 0x90, count: 256))
    image.entries = [
      .init(offset: 0, count: 64, instructions: [0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x0f, 3, 0x77, 8, 0x06, 0x10, 3, 2, 0x76, 0]),
      .init(offset: 64, count: 64, instructions: [0x0a, 0x41, 0x0b, 0x16, 4, 4, 0x12, 0x2f, 0xfc, 0xff], isSignalFrame: true),
    ]
    let (frames, header) = image.tables()
    var random = Seeded(3)
    var registers = Registers()
    for number in 0..<16 { registers[number] = 0x7000 + UInt64(number) * 64 }
    let clock = ContinuousClock()
    let took = clock.measure {
      for _ in 0..<6000 {
        var changedFrames = frames
        var changedHeader = header
        for _ in 0..<Int.random(in: 1...5, using: &random) {
          let value = [0, 0xff, 0x7f, 0x80, UInt8.random(in: 0...255, using: &random)].randomElement(using: &random)!
          if Int.random(in: 0...4, using: &random) == 0 {
            changedHeader[Int.random(in: changedHeader.indices, using: &random)] = value
          } else {
            changedFrames[Int.random(in: changedFrames.indices, using: &random)] = value
          }
        }
        image.frames = changedFrames
        image.header = changedHeader
        image.hasHeader = true
        let file = open(image)
        var table = FrameTable(file)
        for offset: UInt64 in [0, 8, 63, 64, 100, 200] {
          var budget = Budget(1 << 16)
          do throws(UnwindError) {
            if case .entry(let entry) = try table.find(RowTests.start + offset, budget: &budget) {
              let row = try entry.row(at: RowTests.start + offset, budget: &budget)
              #expect(row.start <= RowTests.start + offset && RowTests.start + offset < row.end && row.end <= entry.end)
              _ = try step(row, in: registers, at: 0x1234, file: file, budget: &budget) { (address) throws(UnwindError) in address }
            }
          } catch {}
        }
      }
    }
    #expect(took < .seconds(60))
  }
}
