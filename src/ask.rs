//! Asking other programs of the machine, with a limit for how long and how much.
//!
//! Owns the child process while it runs. Promises: the answer or its failure comes within the time, whatever the other
//! program does; nothing of it is left behind. Never called while the relay runs: it waits.

use std::{
    io::{self, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// What an answer may take. No program that is asked here needs as much.
const MAX_ANSWER: u64 = 4 << 20;

/// What a program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// It ended with the exit code 0.
    pub good: bool,
    /// Its standard output; what is no UTF-8 is replaced.
    pub said: String,
    /// Its standard error.
    pub complained: String,
}

/// Runs a program and reads what it says, both outputs at once.
///
/// # Errors
/// When it cannot be started, takes longer than `patience`, or says more than 4 MiB.
pub fn ask(program: &str, arguments: &[&str], patience: Duration) -> io::Result<Answer> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (said, complained) = (hear(child.stdout.take()), hear(child.stderr.take()));
    // Both end when the program and all that it has started have closed them.
    let heard = said.recv_timeout(patience).and_then(|said| Ok((said, complained.recv_timeout(patience)?)));
    let Ok((said, complained)) = heard else {
        end(&mut child);
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {patience:?}")));
    };
    if said.len() as u64 > MAX_ANSWER || complained.len() as u64 > MAX_ANSWER {
        end(&mut child);
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer of more than 4 MiB"));
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer { good: child.wait()?.success(), said: text(said), complained: text(complained) })
}

fn hear(output: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(output) = output {
            // What came before an error is an answer too.
            let _ = output.take(MAX_ANSWER + 1).read_to_end(&mut bytes);
        }
        // Err: nobody waits any more.
        let _ = sender.send(bytes);
    });
    receiver
}

fn end(child: &mut Child) {
    // Err: it has ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn answers_are_heard_whole() {
        let answer = ask("sh", &["-c", "echo out; echo err >&2; exit 3"], PATIENCE).unwrap();
        let expected = Answer { good: false, said: "out\n".into(), complained: "err\n".into() };
        assert_eq!(answer, expected);
        // More than two pipes hold, alternating.
        let many = "i=0; while [ $i -lt 3000 ]; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; echo b >&2; i=$((i+1)); done";
        let answer = ask("sh", &["-c", many], PATIENCE).unwrap();
        assert_eq!((answer.good, answer.said.len(), answer.complained.len()), (true, 99_000, 6000));
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for() {
        let error = ask("sleep", &["1000"], Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = ask("cat", &["/dev/zero"], PATIENCE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(ask("no-such-program", &[], PATIENCE).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
