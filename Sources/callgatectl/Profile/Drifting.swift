import Authoring
import Diagnostics
import Kernel
import Launch
import Profile
import Supervisor
import Wire

/// Looks at each file that `profile` pins, in the image, by an inspector.
func drift(of profile: Profile, in root: borrowing OwnedFD) throws(Refusal) -> Drift {
  let program: String
  do throws(SyscallError) { program = try privateFile("callgate-inspector") } catch { throw Refusal(.inspectorLost, error.plain) }
  let surveyor = try Surveyor(inspectorProgram: program)
  let chains = profile.paths.map(\.chain)
  var modules: [ModuleDrift] = []
  for module in profile.modules {
    let request = ModuleDrift.request(for: module, chains: chains)
    var survey: Survey?
    if module.buildID != nil, let path = module.path { survey = try look(at: path, in: root, for: request, by: surveyor) }
    modules.append(ModuleDrift(module, chains: chains, request, survey))
  }
  return Drift(modules: modules)
}

/// nil where nothing is there.
private func look(
  at path: String, in root: borrowing OwnedFD, for request: SurveyRequest, by surveyor: Surveyor
) throws(Refusal) -> Survey? {
  let file: OwnedFD
  do throws(SyscallError) { file = try open(path, in: root) } catch {
    if error.isNotFound { return nil }
    throw Refusal(.noImage, error.plain)
  }
  return try surveyor.survey(request, of: file)
}

extension ModuleDrift {
  /// What became of it, for a person.
  var sentence: String {
    switch state {
    case .same: "the same"
    case .changed(let buildID): "changed: build id \(module.buildID ?? "") is now \(buildID.isEmpty ? "none at all" : buildID)"
    case .missing: "not there: \(module.path ?? "")"
    case .unreadable: "no ELF file: \(module.path ?? "")"
    case .unpinned: "not pinned: the profile gives no \(module.buildID == nil ? "build id" : "path")"
    }
  }
}

func shown(_ chain: [PathElement]) -> String { chain.map(\.description).joined(separator: " ← ") }
