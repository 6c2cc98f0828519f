import ELF
import Unwind
import Wire

/// `text`: the process runs what the file holds.
///
/// Code is mapped privately: whoever writes to it, through /proc/self/mem, by ptrace, or before the mapping became executable, gets a copy of
/// the page, and the kernel says of that page that it is no file's any more. Only then are its bytes compared. What is compared is whole pages:
/// those that hold the functions of the chain, from their starts to where they were left, and where a direct call leads that has ended up in
/// another function: what it called has gone on by a jump.
///
/// Text relocations (DT_TEXTREL) change pages, too: such a library is objected to.
extension Walk {
  /// What `text` says of the files and the pages that the chain's functions lie in.
  mutating func judgeFiles(in space: inout some AddressSpace) {
    judgeAge()
    do throws(Unreadable) { try judgePages(in: &space) } catch {
      finding.unknown = finding.unknown ?? Unknown(frame: UInt16(clamping: max(1, finding.frames.count) - 1), reason: .unreadableImage)
    }
  }

  /// A program's file is older than its container: whatever came later, somebody in the container may have written.
  private mutating func judgeAge() {
    guard let started, !permissions.contains(.writtenFiles) else { return }
    var seen: Set<UInt16> = []
    var last: UInt16?
    for (place, step) in trail.steps.enumerated() where step.module != last && seen.insert(step.module).inserted {
      last = step.module
      let visited = trail[place]
      if let changed = visited.code.image.changed, changed > started { object(.text, .writtenFile, frame: list(visited)) }
    }
  }

  private static let pageBytes: UInt64 = 4096
  /// Of one function, the last before the address: large ones have some hundred kilobytes.
  private static let maxPagesOfFunction: UInt64 = 16
  /// Pages that are not asked about, between two that are: one question costs as much as some hundred answers.
  private static let maxGap: UInt64 = 64
  /// int3, which debuggers and uprobes write over the first byte of an instruction. Who runs into it gets a signal.
  private static let breakpoint: UInt8 = 0xcc

  private mutating func judgePages(in space: inout some AddressSpace) throws(Unreadable) {
    let parts = try partsOfChain()
    var first = 0
    while first < parts.count {
      let start = parts[first].page
      guard let mapping = try codeMapping(at: start, in: &space) else {
        // Elsewhere a file may be mapped there.
        resting.giveUp()
        first += 1
        continue
      }
      var end = first + 1
      while end < parts.count, mapping.contains(parts[end].page), parts[end].page - parts[end - 1].page <= Walk.maxGap * Walk.pageBytes,
        parts[end].page - start < Walk.maxSpan
      { end += 1 }
      // Without an answer every page may be the process's own.
      let own = try space.ownPages(from: start, count: Int((parts[end - 1].page - start) / Walk.pageBytes) + 1)
      // What is compared may change; a mapping without pages of its own gets none unnoticed.
      if own?.isEmpty != true { resting.giveUp() }
      var last: UInt16?
      for part in parts[first..<end] where trail.steps[part.place].module != last {
        last = trail.steps[part.place].module
        rest(onPart: mapping, of: trail[part.place].code.image)
      }
      for part in parts[first..<end] where own?.contains(Int((part.page - start) / Walk.pageBytes)) ?? true {
        if try isChanged(part.page, of: trail[part.place].code.image, in: mapping, &space) {
          object(.text, .changedPage, frame: list(trail[part.place]))
        }
      }
      first = end
    }
  }

  /// A file's code may be mapped in several pieces, of which the chain itself lies in others: where a part of it was made writable once, say.
  private mutating func rest(onPart mapping: Mapping, of image: Image) {
    guard modules.isFile(of: image, mapping) else { return resting.giveUp() }
    resting.use(code: mapping, of: image)
  }

  private static let maxSpan: UInt64 = 2048 * pageBytes

  /// A page that holds a part of a function of the chain, and the frame's place in the trail.
  private struct Part {
    var page: UInt64
    var place: Int
  }

  /// By page, each once, with the innermost frame.
  private func partsOfChain() throws(Unreadable) -> [Part] {
    var parts: [Part] = []
    // Pages that are among the parts, each at its place: the chain comes to the same few again and again. The rest falls out when all is sorted.
    var seen: [64 of UInt64] = .init(repeating: .max)
    func add(_ page: UInt64, _ place: Int) {
      let slot = Int(truncatingIfNeeded: page / Walk.pageBytes % 64)
      if seen[slot] == page { return }
      seen[slot] = page
      parts.append(Part(page: page, place: place))
    }
    for (place, step) in trail.steps.enumerated() {
      // Recursion comes to the same places again and again.
      if parts.count > Walk.maxParts { parts = unique(parts) }
      // The last byte that has run: of the call, or of the interrupted instruction the first.
      let end = step.arrival == .interrupted ? step.instruction : step.instruction &- 1
      let bias = step.instruction &- step.address.value
      let start = step.functionStart.map { $0.value &+ bias } ?? end
      var page = end & ~(Walk.pageBytes - 1)
      for _ in 0..<Walk.maxPagesOfFunction {
        add(page, place)
        guard start < page else { break }
        page -= Walk.pageBytes
      }
      if step.arrival == .returned, let called = try called(by: step, at: place) {
        add((called.value &+ bias) & ~(Walk.pageBytes - 1), place)
      }
    }
    return unique(parts)
  }

  private func called(by step: Trail.Step, at place: Int) throws(Unreadable) -> ImageAddress? {
    if case .read(let called) = step.called { return called }
    let visited = trail[place]
    do throws(UnwindError) { return try visited.code.image.called(before: visited.code.address, visited.point) } catch {
      throw Unreadable()
    }
  }

  private static let maxParts = 4096

  private func unique(_ parts: [Part]) -> [Part] {
    let sorted = parts.sorted { ($0.page, $0.place) < ($1.page, $1.place) }
    return sorted.indices.compactMap { $0 > 0 && sorted[$0 - 1].page == sorted[$0].page ? nil : sorted[$0] }
  }

  /// The private mapping of a file that holds a page; nil where it is none: the vDSO, and what files share has no copies.
  private func codeMapping(at page: UInt64, in space: inout some AddressSpace) throws(Unreadable) -> Mapping? {
    guard let mapping = try space.mapping(at: page), mapping.backing == .file, !mapping.isShared else { return nil }
    return mapping
  }

  private mutating func isChanged(
    _ page: UInt64, of image: Image, in mapping: Mapping, _ space: inout some AddressSpace
  ) throws(Unreadable) -> Bool {
    let offset = mapping.fileOffset &+ (page &- mapping.start)
    guard offset < image.file.sizeBytes else { throw Unreadable() }
    let count = Int(min(Walk.pageBytes, image.file.sizeBytes - offset))
    let process = try space.read(at: page, upTo: Int(Walk.pageBytes))
    let file: [UInt8]
    do throws(ELFError) { file = try image.file.bytes(at: offset, count: count) } catch { throw Unreadable() }
    guard process.count >= count else { throw Unreadable() }
    if process == file { return false }
    // The rest of the file's last page is zero.
    return process.indices.contains { process[$0] != ($0 < count ? file[$0] : 0) && process[$0] != Walk.breakpoint }
  }

  /// The frame's place in the finding's list, where it gets one if it has none.
  private mutating func list(_ visited: Visited) -> UInt16 {
    if let listed = visited.listed { return listed }
    current = Current()
    current.frame.module = visited.code.module
    current.frame.offset = visited.code.address.value
    current.names = .names(
      Names(
        image: visited.code.image, address: visited.code.address, lookup: visited.place.arrival.lookup(visited.code.address),
        functionStart: visited.functionStart))
    return listCurrent()
  }
}
