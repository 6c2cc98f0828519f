package import Diagnostics
internal import Digests
internal import Kernel
package import Profile
package import Signatures

/// A profile's file, before anything is believed of it.
package struct FoundProfile: Equatable, Sendable {
  package let name: String
  /// Only named in messages.
  package let path: String
  package let bytes: [UInt8]
  /// It came with the programs. Whoever can write what lies there can replace them, so it needs no signature.
  package let isShipped: Bool

  package init(name: String, path: String, bytes: [UInt8], isShipped: Bool) {
    self.name = name
    self.path = path
    self.bytes = bytes
    self.isShipped = isShipped
  }

  /// A profile is read whole; the largest that lists ways is a tenth of it.
  package static let maxBytes = 256 << 10
}

/// A profile's file, verified.
package struct ProfileFile: Equatable, Sendable {
  private let found: FoundProfile
  package let signatures: [SignatureFile]
  /// The keys that made `signatures`, one for each.
  package let signers: [String]

  package var name: String { found.name }
  package var path: String { found.path }
  package var bytes: [UInt8] { found.bytes }
  package var isShipped: Bool { found.isShipped }

  /// Throws where a signature is wrong, and where there is none and the policy demands one. The keys are only asked for where there is
  /// something to verify.
  package init(
    _ found: FoundProfile, _ signatures: [SignatureFile], under policy: SignaturePolicy, keyring: () throws(Refusal) -> Keyring
  ) throws(Refusal) {
    if signatures.isEmpty, policy == .required, !found.isShipped {
      throw Refusal(.notSigned, "\(found.path): the profile is not signed, and policy.signatures is 'required'")
    }
    self.found = found
    self.signatures = signatures
    signers = signatures.isEmpty ? [] : try keyring().signers(of: found.bytes, signatures)
  }
}

/// A profile as it will be enforced, and the files that it was made of.
package struct InstalledProfile: Equatable, Sendable {
  package let resolved: ResolvedProfile
  /// Its own file first, then those of what it extends.
  package let files: [ProfileFile]

  package var profile: Profile { resolved.profile }

  /// Makes the profile called `name` of the files that `read` gives by their profiles' names.
  package init(_ name: String, reading read: (String) throws(Refusal) -> ProfileFile) throws(Refusal) {
    let file = try read(name)
    var files = [file]
    resolved = try ResolvedProfile(parsing: file.bytes, file: file.path) { parent throws(Refusal) in
      let found: ProfileFile
      // Where it is named says more than that it is missing.
      do throws(Refusal) { found = try read(parent) } catch {
        if error.code == .profileNotInstalled { return nil }
        throw error
      }
      if !files.contains(where: { $0.name == found.name }) { files.append(found) }
      return (found.bytes, found.path)
    }
    guard resolved.profile.name == name else {
      throw Refusal(.badProfile, "\(file.path): metadata.name is '\(resolved.profile.name)': it must be the file's name")
    }
    self.files = files
  }
}

/// A profile within the administrator's baseline, and the digest that it can be pinned by.
package struct EffectiveProfile: Equatable, Sendable {
  package let resolved: ResolvedProfile
  package let digest: String
}

extension Locations {
  /// Where the keys lie whose signatures are believed.
  package var keys: String { "\(settings)/keys" }

  /// The profile that `reference`, a name or NAME@DIGEST, asks for: read, its signatures verified as the settings say, its digest
  /// compared.
  package func installedProfile(_ reference: String, under settings: Settings) throws(Refusal) -> InstalledProfile {
    let reference = try ProfileReference(reference)
    let installed = try InstalledProfile(reference.name) { name throws(Refusal) in
      try readProfileFile(name, under: settings.signatures)
    }
    try reference.admit(installed.profile)
    return installed
  }

  /// The same, under the settings as they lie there.
  package func readProfile(_ reference: String) throws(Refusal) -> ResolvedProfile {
    try installedProfile(reference, under: try readSettings()).resolved
  }

  /// The profile that `reference` asks for as it takes effect on this host: never looser than the configured baseline. A digest is that of
  /// the profile itself.
  package func effectiveProfile(_ reference: String, under settings: Settings) throws(Refusal) -> EffectiveProfile {
    let installed = try installedProfile(reference, under: settings)
    let digest = installed.profile.digest.description
    return EffectiveProfile(resolved: try withinBaseline(installed.resolved, under: settings), digest: digest)
  }

  /// Never looser than the configured baseline.
  package func withinBaseline(_ profile: ResolvedProfile, under settings: Settings) throws(Refusal) -> ResolvedProfile {
    guard let baseline = settings.baseline else { return profile }
    let strictest: InstalledProfile
    do throws(Refusal) { strictest = try installedProfile(baseline, under: settings) } catch {
      throw Refusal(error.code, "cannot read the baseline '\(baseline)' (policy.baseline): \(error.message)", hint: error.hint)
    }
    return try profile.within(strictest.resolved)
  }

  /// A profile's text, wherever it lies, with what it extends of those that are installed here.
  package func resolve(_ bytes: [UInt8], file: String) throws(Refusal) -> ResolvedProfile {
    try ResolvedProfile(parsing: bytes, file: file) { parent throws(Refusal) in try verifiedProfile(parent) }
  }

  /// The verified bytes of the profile called `name` and its file, for whoever resolves what another one extends; nil where none has it.
  package func verifiedProfile(_ name: String) throws(Refusal) -> (bytes: [UInt8], file: String)? {
    guard try findProfile(name) != nil else { return nil }
    let file = try readProfileFile(name, under: try readSettings().signatures)
    return (file.bytes, file.path)
  }

  /// The file of the profile called `name`, from the first directory that has it. **Every installed profile's file is read by this
  /// function**, what another one extends as well: nothing is parsed whose signature is wrong, or missing where the policy demands one.
  package func readProfileFile(_ name: String, under policy: SignaturePolicy) throws(Refusal) -> ProfileFile {
    guard let found = try findProfile(name) else {
      let installed = try installedProfiles()
      throw Refusal(
        .profileNotInstalled, "profile '\(name)' is not installed",
        hint: "installed: \(installed.isEmpty ? "none" : installed.joined(separator: ", ")). See: callgatectl profile list")
    }
    let signatures = try readSignatures(of: found.path)
    let file = try ProfileFile(found, signatures, under: policy) { () throws(Refusal) in try readKeyring() }
    if file.isShipped, policy == .required, file.signers.isEmpty {
      _ = try optional { () throws(SyscallError) in try refuseWorldWritable(file.path) }
    }
    return file
  }

  /// The bytes of the profile called `name`, from the first directory that has it, unverified; nil where none has it.
  package func findProfile(_ name: String) throws(Refusal) -> FoundProfile? {
    guard Profile.isName(name) else {
      throw Refusal(.badProfile, "'\(name)' is no profile name: lower-case letters, digits and '-' only, never a path")
    }
    for directory in profiles {
      let path = "\(directory)/\(name).yaml"
      let bytes = try optional { () throws(SyscallError) in try readFile(path, limit: FoundProfile.maxBytes) }
      if let bytes { return FoundProfile(name: name, path: path, bytes: bytes, isShipped: directory != ownProfiles) }
    }
    return nil
  }

  /// Where profiles are put that did not come with the programs.
  package var ownProfiles: String { "\(settings)/profiles" }

  /// Those of the signature files beside `path` that there are.
  package func readSignatures(of path: String) throws(Refusal) -> [SignatureFile] {
    var signatures: [SignatureFile] = []
    for format in SignatureFormat.allCases {
      let file = path + format.rawValue
      let bytes = try optional { () throws(SyscallError) in try readFile(file, limit: SignatureFile.maxBytes) }
      if let bytes { signatures.append(SignatureFile(format, bytes, file: file)) }
    }
    return signatures
  }

  /// The trusted keys, none where there is no directory for them. A file in it that should be a key and is none, or that anybody may
  /// write, is an error.
  package func readKeyring() throws(Refusal) -> Keyring {
    var keyring = Keyring()
    let names = try optional { () throws(SyscallError) in
      let names = try list(keys)
      try refuseWorldWritable(keys)
      return names
    }
    for name in names ?? [] where Keyring.isKeyFile(name) {
      let file = "\(keys)/\(name)"
      let bytes: [UInt8]
      do throws(SyscallError) {
        try refuseWorldWritable(file)
        bytes = try readFile(file, limit: SignatureFile.maxBytes)
      } catch { throw Refusal(.badKey, error.plain) }
      try keyring.add(name, bytes, file: file)
    }
    return keyring
  }
}
