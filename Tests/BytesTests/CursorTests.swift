import Bytes
import Testing

@Suite struct CursorTests {
  @Test func `integers are little-endian`() throws {
    let bytes: [UInt8] = [1, 2, 0xff, 0xff, 0xff, 0xff, 8, 7, 6, 5, 4, 3, 2, 0x81]
    var cursor = Cursor(bytes.span)
    #expect(try cursor.u16() == 0x0201)
    #expect(try cursor.i32() == -1)
    #expect(try cursor.u64() == 0x8102_0304_0506_0708)
    #expect(cursor.offset == bytes.count)
  }

  @Test func `a read past the end throws and does not move`() throws {
    let bytes: [UInt8] = [1, 2, 3]
    var cursor = Cursor(bytes.span)
    _ = try cursor.u8()
    var thrown: BytesError?
    do throws(BytesError) { _ = try cursor.u32() } catch { thrown = error }
    #expect(thrown == .truncated(offset: 1, needed: 4, available: 2))
    #expect(cursor.offset == 1)
  }

  @Test(
    arguments: [
      ([0x02], 2, 2), ([0x7f], 127, -1), ([0x80, 0x01], 128, 128), ([0xff, 0x00], 127, 127), ([0x80, 0x7f], 0x3f80, -128),
    ] as [([UInt8], UInt64, Int64)])
  func `LEB128 examples of DWARF 5 figures 22 and 23`(bytes: [UInt8], unsigned: UInt64, signed: Int64) throws {
    var cursor = Cursor(bytes.span)
    #expect(try cursor.uleb() == unsigned)
    cursor = Cursor(bytes.span)
    #expect(try cursor.sleb() == signed)
  }

  @Test func `LEB128 reaches exactly the ends of 64 bits`() throws {
    let nines = [UInt8](repeating: 0xff, count: 9)
    let most = nines + [0x01]
    var cursor = Cursor(most.span)
    #expect(try cursor.uleb() == .max)
    let minusOne = nines + [0x7f]
    cursor = Cursor(minusOne.span)
    #expect(try cursor.sleb() == -1)
    let least = [UInt8](repeating: 0x80, count: 9) + [0x7f]
    cursor = Cursor(least.span)
    #expect(try cursor.sleb() == .min)
  }

  @Test(arguments: [
    [UInt8](repeating: 0xff, count: 9) + [0x02], [UInt8](repeating: 0x80, count: 10) + [0], [UInt8](repeating: 0xff, count: 4096),
    [UInt8](repeating: 0x80, count: 9) + [0x41],
  ])
  func `a LEB128 bomb is refused`(bytes: [UInt8]) {
    #expect(throws: BytesError.oversizedLEB(offset: 0)) {
      var cursor = Cursor(bytes.span)
      _ = try cursor.uleb()
    }
    #expect(throws: BytesError.oversizedLEB(offset: 0)) {
      var cursor = Cursor(bytes.span)
      _ = try cursor.sleb()
    }
  }

  @Test func `a LEB128 cut off in its middle is truncated`() {
    #expect(throws: BytesError.truncated(offset: 2, needed: 1, available: 0)) {
      let bytes: [UInt8] = [0x80, 0x80]
      var cursor = Cursor(bytes.span)
      _ = try cursor.uleb()
    }
  }

  @Test func `a string needs its NUL within the limit`() throws {
    let bytes = Array("abc\0rest".utf8)
    var cursor = Cursor(bytes.span)
    #expect(try cursor.untilNUL(limit: 3) == Array("abc".utf8))
    #expect(throws: BytesError.self) {
      var cursor = Cursor(bytes.span)
      _ = try cursor.untilNUL(limit: 2)
    }
  }

  @Test func `seeking outside throws`() {
    #expect(throws: BytesError.self) {
      let bytes: [UInt8] = [1]
      var cursor = Cursor(bytes.span)
      try cursor.seek(to: -1)
    }
    #expect(throws: BytesError.self) {
      let bytes: [UInt8] = [1]
      var cursor = Cursor(bytes.span)
      try cursor.skip(.max)
    }
  }
}
