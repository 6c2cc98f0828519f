import Authoring
import Diagnostics
import Foundation
import Profile

/// The repository that these tests were built from.
let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// Every profile in it.
func shippedProfiles() throws -> [(file: String, text: String)] {
  let folders = ["profiles", "Benchmarks/profiles", "Tests/Benign/profiles"]
  return try folders.flatMap { folder in
    let path = repository.appending(path: folder)
    return try FileManager.default.contentsOfDirectory(atPath: path.path).filter { $0.hasSuffix(".yaml") }.sorted().map { name in
      ("\(folder)/\(name)", try String(contentsOf: path.appending(path: name), encoding: .utf8))
    }
  }
}

/// A profile whose spec is `spec`, indented by two; its first line is line 5.
func profile(_ spec: String, name: String = "web") -> String {
  "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: \(name), version: 1.0.0, description: a web server}\nspec:\n"
    + spec.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)\n" }.joined()
}

let base = profile(
  """
  trap: ["@exec", "@exec-memory", connect]
  never: [reboot]
  permit: [dlsym]
  """, name: "base")

func parent(_ name: String) throws(Refusal) -> (bytes: [UInt8], file: String)? {
  name == "base" ? (Array(base.utf8), "base.yaml") : nil
}

func resolved(_ text: String) throws -> ResolvedProfile {
  try ResolvedProfile(parsing: Array(text.utf8), file: "web.yaml", parent: parent)
}
