import Bytes

/// One `PT_LOAD` (ELF gABI 5): `fileBytes` bytes at `fileOffset` appear at `address`.
package struct Segment: Equatable, Sendable {
  package var address: ImageAddress
  package var fileOffset: UInt64
  package var fileBytes: UInt64
  package var isExecutable: Bool
  package var isWritable: Bool

  /// Neither sum overflows: checked when the headers are read.
  package var fileEnd: UInt64 { fileOffset + fileBytes }
  package var end: ImageAddress { ImageAddress(address.value + fileBytes) }
}

/// A range of image addresses.
package struct AddressRange: Hashable, Sendable {
  package var start: ImageAddress
  package var count: UInt64

  package init(start: ImageAddress, count: UInt64) {
    self.start = start
    self.count = count
  }

  package func contains(_ address: ImageAddress) -> Bool { address.value &- start.value < count }
}

/// An ELF64 x86-64 executable or shared object that belongs to the attacker. Headers are read at once, everything else on demand.
///
/// Not thread-safe: it caches what it read.
package final class ObjectFile {
  /// Linkers write about a dozen; the kernel refuses more than 64 KiB of them.
  package static let maxProgramHeaders = 256
  /// A linked file has some dozens, with -ffunction-sections leftovers some hundreds.
  package static let maxSectionHeaders = 4096
  /// No reader asks for more at once: the largest FDE and the largest name table piece are far smaller.
  package static let maxReadBytes = 1 << 20
  /// Notes are some hundred bytes.
  static let maxNoteBytes: UInt64 = 1 << 16

  package let entry: ImageAddress
  /// In file order.
  package let segments: [Segment]
  /// `PT_GNU_EH_FRAME`: where `.eh_frame_hdr` lies.
  package let frameHeader: AddressRange?
  /// The file names an interpreter, i.e. it is a dynamically linked program.
  package let hasInterpreter: Bool
  /// ET_EXEC: the file is loaded where it was linked, so that its code and data hold addresses as they are.
  package let isFixed: Bool

  let source: Source
  private var chunks = Chunks()
  private let notes: [(offset: UInt64, count: UInt64)]
  let sectionTable: (offset: UInt64, count: Int, names: Int)
  private var sectionList: Result<[Section], ELFError>?
  private var functionList: Result<Functions, ELFError>?

  package var sizeBytes: UInt64 { source.sizeBytes }

  package init(_ source: Source) throws(ELFError) {
    self.source = source
    let header = try FileHeader(ObjectFile.read(source, at: 0, count: FileHeader.bytes))
    entry = header.entry
    isFixed = header.isFixed
    guard header.programEntryBytes == ProgramHeader.bytes, header.programCount > 0 else { throw .malformed(.programHeaders) }
    guard header.programCount <= ObjectFile.maxProgramHeaders else {
      throw .tooLarge(.programHeaders, UInt64(header.programCount))
    }
    // Without usable section headers the file is as good as stripped of them: absent, no error.
    sectionTable = (header.sectionOffset, header.sectionEntryBytes == 64 ? header.sectionCount : 0, header.sectionNames)

    var segments: [Segment] = []
    var notes: [(offset: UInt64, count: UInt64)] = []
    var frameHeader: AddressRange?
    var hasInterpreter = false
    let table = try ObjectFile.read(source, at: header.programOffset, count: header.programCount * ProgramHeader.bytes)
    for row in try ProgramHeader.all(in: table, count: header.programCount) {
      switch row.type {
      case 1:  // PT_LOAD
        guard !row.offset.addingReportingOverflow(row.fileBytes).overflow,
          !row.address.addingReportingOverflow(row.memoryBytes).overflow, row.fileBytes <= row.memoryBytes
        else { throw .malformed(.segment) }
        segments.append(
          Segment(
            address: ImageAddress(row.address), fileOffset: row.offset, fileBytes: row.fileBytes,
            isExecutable: row.flags & 1 != 0, isWritable: row.flags & 2 != 0))
      case 3: hasInterpreter = true  // PT_INTERP
      case 4: notes.append((row.offset, row.fileBytes))  // PT_NOTE
      case 0x6474_e550: frameHeader = AddressRange(start: ImageAddress(row.address), count: row.fileBytes)  // PT_GNU_EH_FRAME
      default: break
      }
    }
    self.segments = segments
    self.notes = notes
    self.frameHeader = frameHeader
    self.hasInterpreter = hasInterpreter
  }

  static func read(_ source: Source, at offset: UInt64, count: Int) throws(ELFError) -> [UInt8] {
    guard count <= maxReadBytes else { throw .tooLarge(.read, UInt64(count)) }
    let (end, overflow) = offset.addingReportingOverflow(UInt64(count))
    guard !overflow, end <= source.sizeBytes else { throw .unreadable(offset: offset, count: count) }
    do throws(Source.Unreadable) {
      let bytes = try source.read(offset, count)
      if bytes.count == count { return bytes }
    } catch {}
    throw .unreadable(offset: offset, count: count)
  }

  /// Exactly `count` bytes of the file, through the chunk cache.
  package func bytes(at offset: UInt64, count: Int) throws(ELFError) -> [UInt8] {
    guard count >= 0, count <= ObjectFile.maxReadBytes else { throw .tooLarge(.read, UInt64(clamping: count)) }
    let (end, overflow) = offset.addingReportingOverflow(UInt64(count))
    guard !overflow, end <= source.sizeBytes else { throw .unreadable(offset: offset, count: count) }
    var result: [UInt8] = []
    result.reserveCapacity(count)
    var at = offset
    do throws(Source.Unreadable) {
      while at < end {
        let chunk = try chunks.chunk(at / UInt64(Chunks.chunkBytes), of: source)
        let start = Int(at % UInt64(Chunks.chunkBytes))
        let stop = min(chunk.count, start + Int(clamping: end - at))
        guard start < stop else { throw Source.Unreadable() }
        result.append(contentsOf: chunk[start..<stop])
        at += UInt64(stop - start)
      }
    } catch { throw .unreadable(offset: offset, count: count) }
    return result
  }

  private static let maxWholeBytes: UInt64 = 64 << 20

  /// A large piece of the file, past the cache of chunks, which one pass would only empty.
  package func wholeBytes(at offset: UInt64, count: UInt64) throws(ELFError) -> [UInt8] {
    guard count <= ObjectFile.maxWholeBytes else { throw .tooLarge(.section, count) }
    var bytes: [UInt8] = []
    // No more than there is, whatever the file says.
    bytes.reserveCapacity(Int(min(count, source.sizeBytes)))
    while UInt64(bytes.count) < count {
      let (at, overflow) = offset.addingReportingOverflow(UInt64(bytes.count))
      guard !overflow else { throw .malformed(.section) }
      bytes += try ObjectFile.read(source, at: at, count: Int(min(count - UInt64(bytes.count), UInt64(ObjectFile.maxReadBytes))))
    }
    return bytes
  }

  /// Where the file holds what appears at `address`, and how many bytes from there the segment fills from the file.
  package func place(of address: ImageAddress) throws(ELFError) -> (fileOffset: UInt64, available: UInt64) {
    for segment in segments where segment.address <= address && address < segment.end {
      let into = address.value - segment.address.value
      return (segment.fileOffset + into, segment.fileBytes - into)
    }
    throw .unmapped(address)
  }

  /// Exactly `count` bytes as the file fills them at `address`; they must lie in one segment.
  package func bytes(at address: ImageAddress, count: Int) throws(ELFError) -> [UInt8] {
    let (offset, available) = try place(of: address)
    guard UInt64(clamping: count) <= available else { throw .unmapped(address + available) }
    return try bytes(at: offset, count: count)
  }

  /// The eight bytes at `address`, the lowest first.
  package func word(at address: ImageAddress) throws(ELFError) -> UInt64 {
    let (offset, available) = try place(of: address)
    let (end, overflow) = offset.addingReportingOverflow(8)
    guard available >= 8, !overflow, end <= source.sizeBytes else { return littleEndian(try bytes(at: address, count: 8), at: 0) }
    let start = Int(offset % UInt64(Chunks.chunkBytes))
    guard start <= Chunks.chunkBytes - 8 else { return littleEndian(try bytes(at: address, count: 8), at: 0) }
    do throws(Source.Unreadable) {
      let chunk = try chunks.chunk(offset / UInt64(Chunks.chunkBytes), of: source)
      guard chunk.count - start >= 8 else { throw Source.Unreadable() }
      return littleEndianWord(chunk, at: start)
    } catch { throw .unreadable(offset: offset, count: 8) }
  }

  /// Up to `count` bytes: fewer where the segment ends.
  package func bytes(at address: ImageAddress, upTo count: Int) throws(ELFError) -> [UInt8] {
    let (offset, available) = try place(of: address)
    return try bytes(at: offset, count: Int(clamping: min(available, UInt64(clamping: count))))
  }

  /// The executable address that the byte at `fileOffset` appears at, or nil where no executable segment holds it.
  package func executableAddress(ofFileOffset fileOffset: UInt64) -> ImageAddress? {
    for segment in segments where segment.isExecutable && segment.fileOffset <= fileOffset && fileOffset < segment.fileEnd {
      return segment.address + (fileOffset - segment.fileOffset)
    }
    return nil
  }

  package func isExecutable(_ address: ImageAddress) -> Bool {
    segments.contains { $0.isExecutable && $0.address <= address && address < $0.end }
  }

  /// The GNU build id (`NT_GNU_BUILD_ID`) in lower-case hex; nil where there is none, or its note is malformed: it is only shown.
  package func buildID() throws(ELFError) -> String? {
    for note in notes where note.count <= ObjectFile.maxNoteBytes {
      let bytes = try bytes(at: note.offset, count: Int(note.count))
      if let found = gnuBuildID(in: bytes) { return found }
    }
    return nil
  }

  /// A note among the first of the file has the four bytes `owner` for a name (ELF gABI 5): what the Go linker marks its programs with is a
  /// note of its own. It is only a hint: what looks like one at a multiple of four is taken for one.
  package func hasNote(by owner: [UInt8]) throws(ELFError) -> Bool {
    for note in notes.prefix(8) where note.count >= 16 {
      let bytes = try bytes(at: note.offset, count: Int(min(note.count, 4096)))
      for at in stride(from: 0, through: bytes.count - 16, by: 4)
      where bytes[at..<(at + 4)].elementsEqual([4, 0, 0, 0]) && bytes[(at + 12)..<(at + 16)].elementsEqual(owner) { return true }
    }
    return false
  }

  /// The sections, read once; empty for a file stripped of them.
  package func sections() throws(ELFError) -> [Section] {
    if let sectionList { return try sectionList.get() }
    let result = Result { () throws(ELFError) in try readSections() }
    sectionList = result
    return try result.get()
  }

  /// The functions that `.symtab` names, else those of `.dynsym`, read once.
  package func functions() throws(ELFError) -> Functions {
    if let functionList { return try functionList.get() }
    let result = Result { () throws(ELFError) in try readFunctions() }
    functionList = result
    return try result.get()
  }
}
