//! HTTP/1.1 messages as far as PostgREST and tallyd speak it: a request or an answer whole in memory, one
//! after another on a stream. Knows no TLS and no redirects. Fails with the error of the stream, or with
//! `InvalidData` where the other side speaks something else.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};

/// Names as they came, in their order.
pub(crate) type Headers = Vec<(String, String)>;

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn lines(headers: &Headers) -> String {
    headers.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = write!(text, "{name}: {value}\r\n");
        text
    })
}

/// What belongs to one connection and is not passed on.
fn of_connection(name: &str) -> bool {
    ["connection", "content-length", "expect", "host", "keep-alive", "transfer-encoding"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), ..Self::default() }
    }

    /// A JSON body.
    pub(crate) fn post(path: &str, body: &str) -> Self {
        let request = Self { method: "POST".to_owned(), body: body.into(), ..Self::get(path) };
        request.with("Content-Type", "application/json")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The next request of a connection; none where the other side has ended it.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(first) = line(reader)? else { return Ok(None) };
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(not_http(&first)) };
        let headers = read_headers(reader)?;
        let body = read_body(reader, &headers, false)?;
        Ok(Some(Self { method, path, headers, body }))
    }

    /// Sends it as the only one of a connection.
    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let kept = self.headers.iter().filter(|(name, _)| !of_connection(name)).cloned().collect();
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
            self.method,
            self.path,
            self.body.len(),
            lines(&kept)
        );
        writer.write_all(&[head.as_bytes(), &self.body].concat())?;
        writer.flush()
    }
}

impl Response {
    /// An answer with a body of this type.
    pub(crate) fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type".to_owned(), kind.to_owned())], body: body.into() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A field of the JSON body, as text: of an error `code`, the SQLSTATE or PostgREST's own.
    pub(crate) fn field(&self, name: &str) -> String {
        let value: serde_json::Value =
            serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()));
        match &value[name] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let first = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status: u16 = status.ok_or_else(|| not_http(&first))?;
        let headers = read_headers(reader)?;
        let has_body = status != 204 && status != 304;
        let body = if has_body { read_body(reader, &headers, true)? } else { Vec::new() };
        Ok(Self { status, headers, body })
    }

    /// The answer as it goes over the line, its length said whether or not there is a body.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let kept = self.headers.iter().filter(|(name, _)| !of_connection(name)).cloned().collect();
        let length = match self.status {
            204 => String::new(),
            _ => format!("Content-Length: {}\r\n", self.body.len()),
        };
        let head = format!("HTTP/1.1 {} Answer\r\n{length}{}\r\n", self.status, lines(&kept));
        [head.as_bytes(), &self.body].concat()
    }
}

/// Sends a request on a connection of its own and reads the answer to its end.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &Request) -> io::Result<Response> {
    request.write(&mut stream)?;
    Response::read(&mut BufReader::new(stream))
}

fn not_http(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {line:?}"))
}

/// The next line without its end; none where the stream has ended.
fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    if reader.read_line(&mut text)? == 0 {
        return Ok(None);
    }
    let whole = text.strip_suffix('\n').ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Some(whole.trim_end_matches('\r').to_owned()))
}

fn read_headers(reader: &mut impl BufRead) -> io::Result<Headers> {
    let mut headers = Headers::new();
    loop {
        let text = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if text.is_empty() {
            return Ok(headers);
        }
        let (name, value) = text.split_once(':').ok_or_else(|| not_http(&text))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// The body that the headers announce; an answer that announces none ends with its connection.
fn read_body(reader: &mut impl BufRead, headers: &Headers, is_answer: bool) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if find(headers, "Transfer-Encoding").is_some_and(|how| how.eq_ignore_ascii_case("chunked")) {
        while read_chunk(reader, &mut body)? {}
    } else if let Some(length) = find(headers, "Content-Length") {
        body.resize(length.parse().map_err(|_| not_http(length))?, 0);
        reader.read_exact(&mut body)?;
    } else if is_answer {
        reader.read_to_end(&mut body)?;
    }
    Ok(body)
}

/// One chunk and its end; false after the last.
fn read_chunk(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    let size = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let digits = size.split(';').next().unwrap_or_default().trim();
    let length = usize::from_str_radix(digits, 16).map_err(|_| not_http(&size))?;
    let start = body.len();
    body.resize(start + length, 0);
    reader.read_exact(&mut body[start..])?;
    line(reader)?;
    Ok(length != 0)
}
