package import ELF
import Go
import Linkage
import Unwind
import Wire
import X86

/// One mapped file with everything that was learnt about it: rows, verified call sites, names. It stays true as long as the file
/// does not change; who keeps images drops one whose file's size or times have changed.
///
/// Not thread-safe. Bounded: some 3 MiB of verdicts, and the file's own caches.
package final class Image {
  package let file: ObjectFile
  /// When the file was changed last (st_ctime), in nanoseconds since 1970; nil where it is no file on a disk.
  let changed: Int64?
  let decoder = Decoder()
  var frames: FrameTable
  let assembler = OperationDecoder()
  let flow: FlowPoints
  let linkage: Linkage
  /// Stands for this image where it is only told from others: it may outlive it.
  let token = Token()
  /// The kernel's own file, which it maps into every process.
  package var isVDSO = false
  var points = CodePoints()
  var pieces: [ImageAddress: Piece] = [:]
  private var shownBuildID: String?
  var goTableFound: Result<GoTable?, UnwindError>?
  private var exported: [String: Bool] = [:]
  var importsMaker: [Walk.Maker: Bool] = [:]
  var fingerprints: [ImageAddress: UInt64?] = [:]

  final class Token {}

  /// So many of its return addresses are known well enough for frames there to be passed.
  package var knownFrames: Int { points.frames.count { $0.isKnown } }

  package init(_ source: Source, changed: Int64? = nil) throws(ELFError) {
    self.changed = changed
    file = try ObjectFile(source)
    frames = FrameTable(file)
    flow = FlowPoints(file, assembler)
    linkage = Linkage(file)
  }

  /// What this file says about `address`. Never throws: what cannot be judged is the answer's own case.
  func point(_ address: ImageAddress, _ arrival: Arrival, budget: inout Budget) -> CodePoint {
    if let known = points.number(of: address, arrival) { return points[known] }
    let point: CodePoint
    do throws(UnwindError) {
      point = try judge(address, arrival, budget: &budget)
    } catch {
      point = CodePoint(unwinding: .unknown(Reason(error)))
      if error.isPassing { return point }
    }
    points.keep(point, at: address, arrival)
    return point
  }

  /// The file exports a function of that name.
  func exports(_ name: String) throws(ELFError) -> Bool {
    if let known = exported[name] { return known }
    let found = try file.exportsFunction(name)
    exported[name] = found
    return found
  }

  /// Lower-case hex, empty where the file has none or does not tell.
  var buildID: String {
    if let shownBuildID { return shownBuildID }
    var found = ""
    do throws(ELFError) { found = try file.buildID() ?? "" } catch {}  // only shown: a hint is missing, no check is
    shownBuildID = found
    return found
  }

  /// Where libjvm exports the pointer to the description of its data, nil where the file exports none.
  lazy var hotSpotStructs: ImageAddress? = {
    do throws(ELFError) { return try file.exportedObject("gHotSpotVMStructs") } catch { return nil }
  }()

  /// The function's name and start for an explanation; nil where the file names none, or its names cannot be read.
  func function(at lookup: ImageAddress) -> (name: String, start: ImageAddress)? {
    do throws(ELFError) {
      if let function = try file.functions().covering(lookup) { return (try file.bestName(of: function), function.start) }
    } catch {}  // only shown
    return goFunction(at: lookup)
  }

  /// A function symbol covers `address`. A symbol table that cannot be read covers nothing.
  func isNamed(_ address: ImageAddress) throws(UnwindError) -> Function? {
    do throws(ELFError) { return try file.functions().covering(address) } catch { throw .file(error) }
  }
}
