import ELF
import Samples

/// A small ELF file: a segment of data at 0x400000, one of code at 0x500000, both the fuzzer's.
struct File {
  static let dataAddress: UInt64 = 0x40_0000
  static let codeAddress: UInt64 = 0x50_0000
  static let dataOffset = 0x1000

  var data: [UInt8] = []
  var code: [UInt8] = []
  /// `.eh_frame_hdr`, as a part of the data.
  var frameHeader: (start: UInt64, count: UInt64)?
  var entry: UInt64 = File.codeAddress
  var isFixed = true
  /// Go's linker marks its programs with a note of its own.
  var isGo = false
  /// A data object that the file exports.
  var object: (name: String, address: UInt64)?

  /// A multiple of the page, as mappings are.
  var codeOffset: Int { File.dataOffset + (data.count + 4095) / 4096 * 4096 }

  var bytes: [UInt8] {
    var programs =
      program(1, 6, File.dataOffset, File.dataAddress, data.count) + program(1, 5, codeOffset, File.codeAddress, code.count)
    if let frameHeader { programs += program(0x6474_e550, 4, 0, frameHeader.start, Int(frameHeader.count)) }
    if isGo { programs += program(4, 4, 0x400, 0, 16) }
    let (sections, count) = sections()
    var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    file += le(UInt16(isFixed ? 2 : 3)) + le(UInt16(62)) + le(UInt32(1)) + le(entry) + le(UInt64(64)) + le(UInt64(0x800)) + le(UInt32(0))
    file +=
      le(UInt16(64)) + le(UInt16(56)) + le(UInt16(programs.count / 56)) + le(UInt16(64)) + le(UInt16(count)) + le(UInt16(0)) + programs
    fill(&file, to: 0x400)
    file += le(UInt32(4)) + le(UInt32(0)) + le(UInt32(4)) + Array("Go\0\0".utf8)
    fill(&file, to: 0x800)
    file += sections
    fill(&file, to: File.dataOffset)
    file += data
    fill(&file, to: codeOffset)
    return file + code
  }

  func open() -> ObjectFile {
    guard let file = attempt({ () throws(ELFError) in try ObjectFile(Source(bytes)) }) else { fatalError("the file is no ELF file") }
    return file
  }

  private func fill(_ bytes: inout [UInt8], to count: Int) { bytes += [UInt8](repeating: 0, count: count - bytes.count) }

  private func program(_ type: UInt32, _ flags: UInt32, _ offset: Int, _ address: UInt64, _ count: Int) -> [UInt8] {
    le(type) + le(flags) + le(UInt64(offset)) + le(address) + le(address) + le(UInt64(count)) + le(UInt64(count)) + le(UInt64(0x1000))
  }

  /// `.dynsym` and `.dynstr` of the object, with their headers.
  private func sections() -> (bytes: [UInt8], count: Int) {
    guard let object else { return ([], 0) }
    func header(_ type: UInt32, _ offset: Int, _ count: Int, link: UInt32) -> [UInt8] {
      le(UInt32(0)) + le(type) + le(UInt64(0)) + le(UInt64(0)) + le(UInt64(offset)) + le(UInt64(count)) + le(link) + le(UInt32(0))
        + le(UInt64(0)) + le(UInt64(0))
    }
    let name = [0] + Array(object.name.utf8) + [0]
    let symbol = le(UInt32(1)) + [0x11, 0] + le(UInt16(1)) + le(object.address) + le(UInt64(8))
    let at = 0x800 + 3 * 64
    return (header(0, 0, 0, link: 0) + header(11, at, 24, link: 2) + header(3, at + 24, name.count, link: 0) + symbol + name, 3)
  }
}
