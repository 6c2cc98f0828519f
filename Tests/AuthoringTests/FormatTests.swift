import Authoring
import Profile
import Testing
import YAML

private func format(_ text: String) throws -> String { try formatted(Array(text.utf8)) }

@Test func `fields are written in the format's order, with their comments`() throws {
  let text = """
    # A web server.
    kind: CallProfile
    apiVersion: callgate.dev/v1alpha1
    spec:
      # milder
      onViolation: {errno: EACCES, action: errno}
      paths:
        # the one way
        - chain: ['libc:execve', "...", 'nginx:main']
          syscalls: [execve]
      checks: {path: audit, site: off, edge: {onViolation: {action: audit}, setting: enforce}}
      unheard: of
      trap: [execve]   # only this
    metadata: {version: 1, name: web}
    """
  let canonical = """
    # A web server.
    apiVersion: callgate.dev/v1alpha1
    kind: CallProfile
    metadata:
      name: web
      version: 1
    spec:
      trap: [execve]  # only this
      checks:
        site: off
        edge: {setting: enforce, onViolation: {action: audit}}
        path: audit
      paths:
        # the one way
        - {syscalls: [execve], chain: [libc:execve, "...", nginx:main]}
      # milder
      onViolation: {action: errno, errno: EACCES}
      unheard: of

    """
  #expect(try format(text) == canonical)
  #expect(try format(canonical) == canonical)
}

@Test func `every profile in the repository is in canonical form`() throws {
  let profiles = try shippedProfiles()
  #expect(profiles.count >= 4)
  for (file, text) in profiles { #expect(try format(text) == text, "\(file): callgatectl profile fmt --in-place \(file)") }
}

@Test func `a profile means the same in canonical form`() throws {
  let text = profile("trap: ['@exec', {anySet: 0x4, argument: 2, syscall: mmap}]\nunknown: {depth: 64}\njit: []\nchecks: {site: 'audit'}")
  #expect(try resolved(format(text)).profile == resolved(text).profile)
}
