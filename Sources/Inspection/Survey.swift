package import ELF
import Unwind
package import Wire

/// Instructions are gone through once, a nanosecond or some ten each: a file of a hundred megabytes of code takes seconds.
private let maxSurveyWork = 1 << 30

/// Looks for what `request` names in one file. A file that is no ELF file, or one that cannot be read, has none of it, and no build id.
package func survey(_ request: SurveyRequest, of source: Source) -> Survey {
  var answer = Survey(
    hasNames: .init(repeating: false, count: request.names.count), fingerprints: .init(repeating: nil, count: request.starts.count),
    places: .init(repeating: [], count: request.fingerprints.count))
  let image: Image
  do throws(ELFError) { image = try Image(source) } catch { return answer }
  answer.buildID = image.buildID
  var budget = Budget(maxSurveyWork)
  for (index, start) in request.starts.enumerated() {
    answer.fingerprints[index] = image.fingerprint(of: ImageAddress(start), budget: &budget)
  }
  if !request.names.isEmpty { answer.hasNames = image.hasFunctions(request.names) }
  if !request.fingerprints.isEmpty { answer.places = image.places(of: request.fingerprints, budget: &budget) }
  return answer
}

extension Image {
  /// Names that cannot be read are not there.
  fileprivate func hasFunctions(_ names: [String]) -> [Bool] {
    let wanted = Set(names)
    var found: Set<String> = []
    do throws(ELFError) {
      for function in try file.functions().sorted where found.count < wanted.count {
        let name = try file.name(of: function)
        if wanted.contains(name) { found.insert(name) }
      }
    } catch {}
    return names.map(found.contains)
  }

  /// The starts of the functions that look like each of `fingerprints`, the lowest first; two at most. Functions without an FDE are not looked
  /// at: neither is one recorded by its looks.
  fileprivate func places(of fingerprints: [UInt64], budget: inout Budget) -> [[UInt64]] {
    var places: [UInt64: [UInt64]] = [:]
    for fingerprint in fingerprints { places[fingerprint] = [] }
    do throws(UnwindError) {
      for index in 0..<(try frames.count(budget: &budget)) {
        let start = try frames.entry(index, budget: &budget).range.start
        guard let found = fingerprint(of: start, budget: &budget), let known = places[found], known.count < Survey.maxPlaces else {
          continue
        }
        places[found] = known + [start.value]
      }
    } catch {}  // What lies behind is not found, and has to be recorded again.
    return fingerprints.map { places[$0] ?? [] }
  }
}
