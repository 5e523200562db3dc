//! The other end of the protocols that Parley speaks with wasmCloud, on the crates that a wasmCloud 1.9 host is built with. A test
//! of Go drives it: what to do comes in lines of JSON on stdin, one answer a line goes to stdout.
//!
//!   parley-interop call URL PREFIX SOURCE-ID LINK-NAME   calls publish and request of a provider
//!   parley-interop serve URL PREFIX QUEUE                is a component: serves handle-message and tells what came
//!   parley-interop secrets URL TOPIC BACKEND             asks a secrets backend

use anyhow::{bail, Context as _};
use async_nats::HeaderMap;
use futures::stream::select_all;
use futures::StreamExt as _;
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt as _, BufReader};

mod bindings {
    wit_bindgen_wrpc::generate!({ world: "interop" });
}

use bindings::exports::wasmcloud::messaging::handler;
use bindings::wasmcloud::messaging::{consumer, types};

// On several threads, as a host is: there an answer may come before the client has noted that it waits for one.
#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["call", url, prefix, source, link] => call(url, prefix, source, link).await,
        ["serve", url, prefix, queue] => serve(url, prefix, queue).await,
        ["secrets", url, topic, backend] => secrets(url, topic, backend).await,
        _ => bail!("usage: call URL PREFIX SOURCE-ID LINK-NAME | serve URL PREFIX QUEUE | secrets URL TOPIC BACKEND"),
    }
}

/// Lines of stdin, as JSON.
async fn next(lines: &mut tokio::io::Lines<BufReader<tokio::io::Stdin>>) -> anyhow::Result<Option<Value>> {
    match lines.next_line().await? {
        Some(line) => Ok(Some(serde_json::from_str(&line)?)),
        None => Ok(None),
    }
}

fn text(v: &Value, name: &str) -> String {
    v[name].as_str().unwrap_or_default().to_string()
}

fn optional(v: &Value, name: &str) -> Option<String> {
    v[name].as_str().map(str::to_string)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn from_hex(text: &str) -> anyhow::Result<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2).context("half a byte")?, 16).context("not hexadecimal")).collect()
}

async fn call(url: &str, prefix: &str, source: &str, link: &str) -> anyhow::Result<()> {
    let nats = async_nats::connect(url).await?;
    let wrpc = wrpc_transport_nats::Client::new(nats, prefix, None).await?;
    let mut headers = HeaderMap::new();
    headers.insert("source-id", source);
    headers.insert("link-name", link);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    println!("{}", json!({"ready": true}));
    while let Some(op) = next(&mut lines).await? {
        let body: bytes::Bytes = from_hex(&text(&op, "body"))?.into();
        let cx = Some(headers.clone());
        let work = async {
            Ok::<Value, anyhow::Error>(match op["op"].as_str() {
                Some("publish") => {
                    let msg = types::BrokerMessage { subject: text(&op, "subject"), body, reply_to: optional(&op, "reply") };
                    match consumer::publish(&wrpc, cx, &msg).await {
                        Ok(Ok(())) => json!({"ok": true}),
                        Ok(Err(e)) => json!({"err": e}),
                        Err(e) => json!({"fail": format!("{e:#}")}),
                    }
                }
                Some("request") => {
                    let timeout = op["timeout"].as_u64().unwrap_or_default() as u32;
                    match consumer::request(&wrpc, cx, &text(&op, "subject"), &body, timeout).await {
                        Ok(Ok(m)) => json!({"ok": true, "subject": m.subject, "body": to_hex(&m.body), "reply": m.reply_to}),
                        Ok(Err(e)) => json!({"err": e}),
                        Err(e) => json!({"fail": format!("{e:#}")}),
                    }
                }
                _ => bail!("an operation that is not known"),
            })
        };
        let answer = match op["within"].as_u64() {
            Some(ms) => tokio::time::timeout(std::time::Duration::from_millis(ms), work).await.unwrap_or_else(|e| Ok(json!({"fail": e.to_string()})))?,
            None => work.await?,
        };
        println!("{answer}");
    }
    Ok(())
}

#[derive(Clone)]
struct Component;

impl handler::Handler<Option<HeaderMap>> for Component {
    async fn handle_message(&self, cx: Option<HeaderMap>, msg: handler::BrokerMessage) -> anyhow::Result<Result<(), String>> {
        let header = |name: &str| cx.as_ref().and_then(|h| h.get(name)).map(ToString::to_string);
        println!(
            "{}",
            json!({"subject": msg.subject, "body": to_hex(&msg.body), "reply": msg.reply_to,
                "source-id": header("source-id"), "target-id": header("target-id"), "traceparent": header("traceparent")})
        );
        match msg.subject.as_str() {
            s if s.ends_with("refuse") => Ok(Err("the component refuses".to_string())),
            s if s.ends_with("trap") => bail!("the component traps"),
            _ => Ok(Ok(())),
        }
    }
}

async fn serve(url: &str, prefix: &str, queue: &str) -> anyhow::Result<()> {
    let nats = async_nats::connect(url).await?;
    let wrpc = wrpc_transport_nats::Client::new(nats.clone(), prefix, Some(queue.into())).await?;
    let invocations = bindings::serve(&wrpc, Component).await?;
    // What comes back from the server says that it has had the subscriptions before.
    let inbox = nats.new_inbox();
    let mut echo = nats.subscribe(inbox.clone()).await?;
    nats.publish(inbox, bytes::Bytes::new()).await?;
    echo.next().await.context("the server does not answer")?;
    let mut calls = select_all(invocations.into_iter().map(|(_, _, stream)| stream));
    println!("{}", json!({"ready": true}));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => if line?.is_none() { return Ok(()) },
            Some(call) = calls.next() => match call {
                Ok(work) => { tokio::spawn(async move { if let Err(e) = work.await { eprintln!("{e:#}") } }); }
                Err(e) => eprintln!("{e:#}"),
            },
        }
    }
}

async fn secrets(url: &str, topic: &str, backend: &str) -> anyhow::Result<()> {
    use wasmcloud_secrets_types::{Application, Context, SecretRequest};
    let nats = async_nats::connect(url).await?;
    let client = wasmcloud_secrets_client::Client::new(backend, topic, nats).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    println!("{}", json!({"ready": true}));
    while let Some(op) = next(&mut lines).await? {
        let request = SecretRequest {
            key: text(&op, "key"),
            field: optional(&op, "field"),
            version: optional(&op, "version"),
            context: Context {
                entity_jwt: text(&op, "entity"),
                host_jwt: text(&op, "host"),
                application: Application { name: optional(&op, "application"), policy: text(&op, "policy") },
            },
        };
        let valid = request.context.valid_claims().map_err(|e| e.to_string()).err();
        let answer = match client.get(request, nkeys::XKey::new()).await {
            Ok(s) => json!({"version": s.version, "string": s.string_secret, "binary": s.binary_secret.map(|b| to_hex(&b)), "claims": valid}),
            Err(e) => json!({"err": e.to_string(), "claims": valid}),
        };
        println!("{answer}");
    }
    Ok(())
}
