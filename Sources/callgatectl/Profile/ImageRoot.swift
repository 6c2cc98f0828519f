import ArgumentParser
import Diagnostics
import Kernel

/// Where the files of an image are to be looked at: an unpacked one, or one that podman has.
struct ImageOptions: ParsableArguments {
  @Option(help: "The image, as podman knows it; needs root, as it is mounted for the moment.") var image: String?
  @Option(help: "A folder that holds the image's files, in place of --image; / for this host's own.") var root: String?
  @Option(help: "The podman to be asked.") var podman = "podman"

  func validate() throws {
    guard (image == nil) != (root == nil) else { throw ValidationError("either --image or --root says where the new files are") }
  }
}

/// Calls `body` with the image's root, and unmounts it afterwards where it was mounted for that.
func withImageRoot<Result>(_ options: ImageOptions, _ body: (borrowing OwnedFD) throws -> Result) throws -> Result {
  guard let image = options.image else {
    return try body(try directory(options.root ?? "/"))
  }
  let mounted = try podman(options, ["image", "mount", image])
  guard let folder = mounted.split(separator: "\n").last.map(String.init), folder.hasPrefix("/") else {
    throw Refusal(.noImage, "'\(options.podman) image mount \(image)' names no folder")
  }
  defer {
    // One that stays mounted does no harm; what was found does not depend on it.
    do { _ = try podman(options, ["image", "unmount", image]) } catch { complain("callgatectl: \(error)") }
  }
  return try body(try directory(folder))
}

private func directory(_ path: String) throws(Refusal) -> OwnedFD {
  do throws(SyscallError) { return try openDirectory(path) } catch { throw Refusal(.noImage, error.plain) }
}

private func podman(_ options: ImageOptions, _ words: [String]) throws(Refusal) -> String {
  let done: (bytes: [UInt8], ending: Ending)
  do throws(SyscallError) { done = try output(of: [options.podman] + words, limit: 1 << 16) } catch {
    throw Refusal(.noImage, "podman could not be asked: \(error.plain)", hint: "unpack the image, and give its folder by --root")
  }
  guard done.ending == .exited(0) else {
    throw Refusal(
      .noImage, "'\(options.podman) \(words.joined(separator: " "))' failed",
      hint: "its own message stands above; it needs root, and an image that is there: podman pull")
  }
  return String(decoding: done.bytes, as: UTF8.self)
}
