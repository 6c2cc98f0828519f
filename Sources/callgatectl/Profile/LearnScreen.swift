import Authoring
import Diagnostics
import Glibc

/// Asks a session's questions on the terminal, a key for each answer.
struct LearnScreen {
  private let target: LearnTarget

  init(_ target: LearnTarget) { self.target = target }

  /// False where nothing was written.
  func ask(_ session: inout LearnSession) -> Bool {
    var isFinished = false
    while true {
      while session.question != nil, !isFinished {
        switch askOne(&session) {
        case .goOn: continue
        case .finish: isFinished = true
        case .quit: return false
        }
      }
      let text: String
      do throws(Refusal) { text = try target.changed(by: session) } catch {
        say("\nthe profile cannot be written so: \(error)")
        switch key("[(U)ndo] / (Q)uit", among: "uq", default: "u") {
        case "u":
          isFinished = false
          session.undo()
          continue
        default: return false
        }
      }
      say("\n\(LearnText.answers(session))")
      guard text != target.text else {
        say("nothing to write")
        return true
      }
      say("\n\(target.file)\(target.isNew ? ", which is new" : "")")
      say(textDiff(from: target.isNew ? "" : target.text, to: text).joined(separator: "\n"))
      let choices = session.canUndo ? "[(W)rite] / (U)ndo / (Q)uit without saving" : "[(W)rite] / (Q)uit without saving"
      switch key("\n\(choices)", among: session.canUndo ? "wuq" : "wq", default: "w") {
      case "w":
        do throws(Refusal) { try target.write(text) } catch {
          say("\(error)")
          return false
        }
        say("written: \(target.file)")
        return true
      case "u":
        isFinished = false
        session.undo()
      default: return false
      }
    }
  }

  private enum Next { case goOn, finish, quit }

  private func askOne(_ session: inout LearnSession) -> Next {
    guard let question = session.question else { return .finish }
    say("\n\(LearnText.question(session))")
    while true {
      let proposal = session.proposal
      var keys = "a"
      var words = ["(A)llow"]
      if case .way(let way) = question {
        if session.levels(for: way).count > 1 {
          keys += "g"
          words.append("(G)eneralise")
        }
        keys += "d"
        words.append("(D)eny")
      }
      keys += "ivfq"
      words += ["(I)gnore", "(V)iew"]
      if session.canUndo {
        keys += "u"
        words.append("(U)ndo")
      }
      words += ["(F)inish", "(Q)uit"]
      let usual: Character = proposal == .ignore ? "i" : "a"
      let prompt = words.map { $0.lowercased().hasPrefix("(\(usual))") ? "[\($0)]" : $0 }.joined(separator: " / ")
      let answer: LearnAnswer
      switch key("\n\(prompt)", among: keys, default: usual) {
      case "a": answer = .allow(session.level)
      case "d": answer = .deny(session.level)
      case "i": answer = .ignore
      case "g":
        session.generalise()
        if case .way(let way) = question { say("\n\(LearnText.chains(way, session).joined(separator: "\n"))") }
        continue
      case "v":
        say("\n\(LearnText.view(session))")
        continue
      case "u":
        session.undo()
        return .goOn
      case "f": return .finish
      default: return .quit
      }
      say(LearnText.answer(answer, question))
      session.answer(answer)
      return .goOn
    }
  }

  private func say(_ text: String) {
    print(text)
    fflush(nil)
  }

  /// The next of these keys that is pressed; Return is the default's. q at the end of the input, and for Ctrl-C and Ctrl-D.
  private func key(_ prompt: String, among keys: String, default usual: Character) -> Character {
    print("\(prompt) ", terminator: "")
    fflush(nil)
    while true {
      guard let byte = keyPressed() else {
        print("")
        return "q"
      }
      let pressed: Character =
        switch byte {
        case 3, 4: "q"
        case UInt8(ascii: "\r"), UInt8(ascii: "\n"): usual
        default: Character(Unicode.Scalar(byte | 0x20))
        }
      guard byte <= 4 || keys.contains(pressed) else { continue }
      print(byte == 3 ? "^C" : String(pressed))
      return pressed
    }
  }
}

/// One byte from the terminal, without waiting for the end of a line. It is put back as it was each time, so that whatever ends this program leaves
/// a terminal that works. nil at the end of the input.
private func keyPressed() -> UInt8? {
  var old = termios()
  let isTerminal = unsafe tcgetattr(STDIN_FILENO, &old) == 0
  if isTerminal {
    var raw = old
    // Ctrl-C is a key, too: to answer it means to write nothing.
    raw.c_lflag &= ~UInt32(ICANON | ECHO | ISIG)
    unsafe tcsetattr(STDIN_FILENO, TCSADRAIN, &raw)
  }
  defer { if isTerminal { unsafe tcsetattr(STDIN_FILENO, TCSADRAIN, &old) } }
  var byte: UInt8 = 0
  while true {
    // SAFETY: one byte is read into a variable that lives for the call.
    let count = unsafe read(STDIN_FILENO, &byte, 1)
    if count == 1 { return byte }
    if count < 0, errno == EINTR { continue }
    return nil
  }
}
