import Diagnostics
import JSON
import Kernel

/// `features` (runtime-spec, features.md): what the runtime says of itself, and that annotations of ours change what a container is.
/// crun before 1.8.6 does not know the command; then the least that is true is said. Nothing goes to standard error: CRI-O reads both.
func features(_ runtime: Runtime) throws(Refusal) -> Never {
  do throws(SyscallError) {
    let answer = try capture(runtime.path, ["features"], limit: JSONValue.maxBytes)
    let known = answer.status == 0 ? parsed(answer.output) : nil
    try writeToOutput(declaringAnnotations(known ?? leastFeatures).serialised(indented: true) + [UInt8(ascii: "\n")])
  } catch { throw Refusal(.execFailed, error.plain) }
  leave(0)
}

private func parsed(_ output: [UInt8]) -> JSONValue? {
  do throws(JSONError) {
    let json = try JSONValue(parsing: output)
    return json.members == nil ? nil : json
  } catch { return nil }
}

/// The specification's range that crun 1.8 and runc 1.1 both accept.
private let leastFeatures = JSONValue.object([
  JSONMember("ociVersionMin", .string("1.0.0")), JSONMember("ociVersionMax", .string("1.0.2")),
])

private func declaringAnnotations(_ features: JSONValue) -> JSONValue {
  var features = features
  let key = "potentiallyUnsafeConfigAnnotations"
  features[key] = .array((features[key]?.elements ?? []) + [.string("dev.callgate.")])
  return features
}
