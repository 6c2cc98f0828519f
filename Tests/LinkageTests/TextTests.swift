import Samples
import Testing

/// The names that a file holds as strings: what dlsym(3) may be asked for.
@Suite struct TextTests {
  @Test(
    arguments: [
      ("execve", true), ("usage\0execve", true), ("usage\0\0execve\0more", true), ("exec\0execve", true), ("execvex", false),
      ("xexecve", false), ("execv\0e", false), ("\0eexecve", false), ("", false),
    ])
  func `a text is held as a string of its own`(constants: String, isHeld: Bool) throws {
    let asked = try Asked { $1.constants = Array(constants.utf8) + [0] }
    #expect(try asked.holdsText("execve") == isHeld)
    #expect(try asked.holdsText("execve") == isHeld, "the same when it is asked again")
  }

  @Test func `names of symbols are no text`() throws {
    #expect(try !Asked { $1.symbols = [.wanted("execve")] }.holdsText("execve"))
  }

  @Test func `code holds no text, and what is not loaded neither`() throws {
    let text = [0] + Array("execve".utf8) + [0]
    #expect(try !Asked { image, _ in image.put(text, at: 0x40) }.holdsText("execve"))
    #expect(try !Asked { $1.extras = [.init(".comment", address: 0, bytes: text)] }.holdsText("execve"))
    #expect(try Asked { $1.extras = [.init(".rodata.str1.1", address: 0x420000, bytes: text)] }.holdsText("execve"))
    #expect(try Asked { $1.data = text }.holdsText("execve"))
  }
}
