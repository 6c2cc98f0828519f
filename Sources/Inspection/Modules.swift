import ELF
import Wire

/// The mappings that one walk has met, and the images behind them: stacks return to the same few files again and again.
struct Modules {
  enum Answer {
    case found(Walk.Code)
    /// The `text` check objects, and there is nothing to go on from.
    case objection(Reason, module: UInt16?)
    case unknown(Reason, module: UInt16?)
  }

  private struct Known {
    var mapping: Mapping
    var image: Image?
    var module: UInt16?
    var problem: Problem?
  }

  private enum Problem {
    case objection(Reason)
    case unknown(Reason)
  }

  /// A mapping's code, where it all lies in one segment of its file, the only one that can be executed there.
  struct Region {
    var start: UInt64 = 0
    var count: UInt64 = 0
    /// Where the file has what lies at `start`.
    var place = ImageAddress(0)
    var module: UInt16 = 0
    fileprivate var known = 0

    @inline(__always) func contains(_ address: UInt64) -> Bool { address &- start < count }
    @inline(__always) func address(of address: UInt64) -> ImageAddress { place + (address &- start) }
  }

  private(set) var list: [Module] = []
  private var regions: [Region] = []
  private var identities: [(device: UInt64, inode: UInt64, path: String)] = []
  private var known: [Known] = []
  private var last = 0
  /// Addresses at which no code was found, and of each why.
  private(set) var misses: [(address: UInt64, mapping: Mapping?)] = []
  /// What is mapped at some address could not be found out.
  private(set) var hasFailed = false

  /// The mappings that code was found in, with their images.
  var found: [(Mapping, Image?)] { known.map { ($0.mapping, $0.image) } }

  /// `mapping` is of the file that `image` is.
  func isFile(of image: Image, _ mapping: Mapping) -> Bool {
    known.contains {
      $0.image === image && $0.mapping.device == mapping.device && $0.mapping.inode == mapping.inode && $0.mapping.path == mapping.path
    }
  }

  /// The region of code that holds `address`, where that was met before.
  func region(at address: UInt64) -> Region? {
    for region in regions where region.contains(address) { return region }
    return nil
  }

  func image(in region: Region) -> Image? { known[region.known].image }

  /// Where the code at `address` lies in its file, if it is code of a file at all: in a mapping that is executable and not
  /// writable, backed by a file that is still there, within an executable segment of that file.
  mutating func code(at address: UInt64, _ arrival: Arrival, in space: inout some AddressSpace) -> Answer {
    let answer = code(at: address, in: &space)
    if case .found = answer { return answer }
    // A call may be the last instruction of a segment: then the address after it is none of its.
    guard arrival == .returned, address > 0, case .found(var code) = code(at: address - 1, in: &space) else { return answer }
    code.address = code.address + 1
    return .found(code)
  }

  mutating func code(at address: UInt64, in space: inout some AddressSpace) -> Answer {
    let found: Known
    do throws(Unreadable) {
      guard let answer = try lookUp(address, in: &space) else {
        misses.append((address, nil))
        return .objection(.notImageText(.nothing), module: nil)
      }
      found = answer
    } catch {
      hasFailed = true
      return .unknown(.unreadableImage, module: nil)
    }
    if found.problem != nil { misses.append((address, found.mapping)) }
    switch found.problem {
    case .objection(let reason): return .objection(reason, module: found.module)
    case .unknown(let reason): return .unknown(reason, module: found.module)
    case nil: break
    }
    guard let image = found.image, let module = found.module else { return .unknown(.noUnwindInfo, module: found.module) }
    let (offset, overflow) = found.mapping.fileOffset.addingReportingOverflow(address - found.mapping.start)
    guard !overflow, let place = image.file.executableAddress(ofFileOffset: offset) else {
      return .objection(.notInExecutableSegment, module: module)
    }
    return .found(Walk.Code(image: image, module: module, address: place))
  }

  private mutating func lookUp(_ address: UInt64, in space: inout some AddressSpace) throws(Unreadable) -> Known? {
    if last < known.count, known[last].mapping.contains(address) { return known[last] }
    for index in known.indices where known[index].mapping.contains(address) {
      last = index
      return known[index]
    }
    guard let mapping = try space.mapping(at: address) else { return nil }
    guard mapping.contains(address) else { throw Unreadable() }
    var result = Known(mapping: mapping)
    if let problem = Modules.problem(of: mapping) {
      result.problem = problem
      if mapping.backing == .file { result.module = number(of: mapping, image: nil) }
    } else {
      do throws(Unreadable) {
        result.image = try space.image(of: mapping)
        if result.image == nil { result.problem = .unknown(mapping.backing == .special ? .noUnwindInfo : .unreadableImage) }
      } catch { result.problem = .unknown(.unreadableImage) }
      result.module = number(of: mapping, image: result.image)
    }
    known.append(result)
    last = known.count - 1
    noteRegion(of: result)
    return result
  }

  private mutating func noteRegion(of found: Known) {
    guard found.problem == nil, let image = found.image, let module = found.module else { return }
    // Only now: the trail of a walk that has met the image in another mapping holds numbers of its points.
    if !known.dropLast().contains(where: { $0.image === image }) { image.points.trim() }
    let mapping = found.mapping
    let (end, overflow) = mapping.fileOffset.addingReportingOverflow(mapping.end - mapping.start)
    guard !overflow else { return }
    let segments = image.file.segments.filter { $0.isExecutable && $0.fileOffset < end && mapping.fileOffset < $0.fileEnd }
    guard segments.count == 1, let segment = segments.first else { return }
    let from = max(mapping.fileOffset, segment.fileOffset)
    regions.append(
      Region(
        start: mapping.start + (from - mapping.fileOffset), count: min(end, segment.fileEnd) - from,
        place: segment.address + (from - segment.fileOffset), module: module, known: known.count - 1))
  }

  private static func problem(of mapping: Mapping) -> Problem? {
    switch mapping.backing {
    case .file, .special: break
    case .nothing, .anonymous, .heap, .mainStack, .deletedFile, .memfd: return .objection(.notImageText(mapping.backing))
    }
    if mapping.isWritable { return .objection(.writableText) }
    if !mapping.isExecutable { return .objection(.notInExecutableSegment) }
    return nil
  }

  private mutating func number(of mapping: Mapping, image: Image?) -> UInt16 {
    if let index = identities.firstIndex(where: {
      $0.device == mapping.device && $0.inode == mapping.inode && $0.path == mapping.path
    }) {
      return UInt16(index)
    }
    // Each has at least one frame, and there are no more frames than `Limits.maxFrames`; a larger limit shares the last number.
    guard list.count < Int(UInt16.max) else { return UInt16.max - 1 }
    list.append(Module(path: mapping.path, buildID: image?.buildID ?? ""))
    identities.append((mapping.device, mapping.inode, mapping.path))
    return UInt16(list.count - 1)
  }
}
