//! One kept connection: requests are rendered into one buffer and leave together, answers are parsed in another.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::answer::{BadAnswer, Body, Head, Parsed, Parser};

/// What is there before an answer asks for more.
const INPUT_BYTES: usize = 16 * 1024;
/// How long a connection may take to be had.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Rendered requests; those before `written` have left.
    out: Vec<u8>,
    written: usize,
    /// Received bytes are those in `from..until`.
    input: Vec<u8>,
    from: usize,
    until: usize,
    parser: Parser,
    /// The other side takes nothing any more; what it has said before is still read.
    is_deaf: bool,
}

/// What an exchange brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchanged {
    /// Bytes went out or came in.
    Something,
    /// The other side has closed the connection.
    End,
}

/// Connects, within bounds.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connected = tokio::time::timeout(CONNECT_TIME_MAX, TcpStream::connect(address)).await;
    let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        let input = vec![0; INPUT_BYTES];
        let (out, parser) = (Vec::new(), Parser::default());
        Self { stream, out, written: 0, input, from: 0, until: 0, parser, is_deaf: false }
    }

    /// Connects anew. Requests without an answer are forgotten.
    pub(super) async fn reopen(&mut self, address: SocketAddr) -> io::Result<()> {
        *self = Self { input: std::mem::take(&mut self.input), ..Self::new(connect(address).await?) };
        Ok(())
    }

    /// Where requests are rendered.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        &mut self.out
    }

    /// Bytes that have not left yet.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.out.len() - self.written
    }

    /// Writes what is rendered and reads what is there, both at once: neither side waits for the other to be read first.
    pub(super) async fn exchange(&mut self) -> io::Result<Exchanged> {
        poll_fn(|context| self.poll_exchange(context)).await
    }

    fn poll_exchange(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Exchanged>> {
        let mut has_moved = false;
        while self.waiting_bytes() > 0 && !self.is_deaf {
            match Pin::new(&mut self.stream).poll_write(context, &self.out[self.written..]) {
                Poll::Ready(Ok(len)) => {
                    self.written += len;
                    has_moved = true;
                }
                // Why is said by what can still be read, or by the end.
                Poll::Ready(Err(_)) => self.is_deaf = true,
                Poll::Pending => break,
            }
        }
        self.make_room();
        let mut room = ReadBuf::new(&mut self.input[self.until..]);
        match Pin::new(&mut self.stream).poll_read(context, &mut room) {
            Poll::Ready(Ok(())) if room.filled().is_empty() => return Poll::Ready(Ok(Exchanged::End)),
            Poll::Ready(Ok(())) => self.until += room.filled().len(),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if !has_moved => return Poll::Pending,
            Poll::Pending => {}
        }
        Poll::Ready(Ok(Exchanged::Something))
    }

    /// Takes the next answer, where it is whole.
    pub(super) fn take<T>(&mut self, take: impl FnOnce(Head, &[u8]) -> T) -> Result<Option<T>, BadAnswer> {
        if self.from == self.until {
            return Ok(None);
        }
        let bytes = &self.input[self.from..self.until];
        match self.parser.parse(bytes)? {
            Parsed::Partial { needs } => {
                self.grow(needs);
                Ok(None)
            }
            Parsed::Whole { head, body, len } => {
                let taken = match body {
                    Body::Here(range) => take(head, &bytes[range]),
                    Body::Joined => take(head, self.parser.joined()),
                };
                self.from += len;
                Ok(Some(taken))
            }
        }
    }

    /// So that a read never finds a full buffer.
    fn make_room(&mut self) {
        if self.from == self.until {
            (self.from, self.until) = (0, 0);
        }
        if self.until == self.input.len() {
            self.grow(self.until - self.from + INPUT_BYTES);
        }
    }

    /// Moves the answer in the making to the front, with room for so many bytes of it.
    fn grow(&mut self, needs: usize) {
        if self.from + needs > self.input.len() {
            self.input.copy_within(self.from..self.until, 0);
            (self.from, self.until) = (0, self.until - self.from);
            if needs > self.input.len() {
                self.input.resize(needs.next_multiple_of(INPUT_BYTES), 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
        (Connection::new(stream), listener.accept().await.unwrap().0)
    }

    async fn next(connection: &mut Connection) -> (Head, Vec<u8>) {
        loop {
            if let Some(answer) = connection.take(|head, body| (head, body.to_vec())).unwrap() {
                return answer;
            }
            assert_eq!(connection.exchange().await.unwrap(), Exchanged::Something);
        }
    }

    #[tokio::test]
    async fn answers_larger_than_the_buffer_and_small_ones_behind_them_come_whole() {
        let (mut connection, mut server) = pair().await;
        let bodies: Vec<Vec<u8>> = [3, 100_000, 0, 16_384, 1].map(|len| vec![b'x'; len]).into();
        let mut all = Vec::new();
        for body in &bodies {
            all.extend(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes());
            all.extend(body);
        }
        let writing = tokio::spawn(async move {
            server.write_all(&all).await.unwrap();
        });
        for body in bodies {
            assert_eq!(next(&mut connection).await.1, body);
        }
        writing.await.unwrap();
        assert_eq!(connection.exchange().await.unwrap(), Exchanged::End);
    }

    #[tokio::test]
    async fn requests_leave_together_while_answers_come() {
        let (mut connection, mut server) = pair().await;
        const LEN: usize = 8 * 1024 * 1024;
        connection.out().extend(vec![b'q'; LEN]);
        // The server answers before it reads: both sides would wait for ever if neither read while writing.
        let answering = tokio::spawn(async move {
            let answer =
                [format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n").into_bytes(), vec![0; LEN]].concat();
            server.write_all(&answer).await.unwrap();
            let mut request = vec![0; LEN];
            server.read_exact(&mut request).await.unwrap();
        });
        assert_eq!(next(&mut connection).await.1.len(), LEN);
        while connection.waiting_bytes() > 0 {
            connection.exchange().await.unwrap();
        }
        answering.await.unwrap();
    }
}
