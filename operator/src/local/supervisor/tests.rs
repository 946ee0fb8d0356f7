//! A supervisor with a shell script in the place of a store, and its admin port played by the test.

use std::net::TcpListener as StdListener;
use std::path::PathBuf;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::task::JoinHandle;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
/// What a store says when it listens, and then nothing until it is told to end.
const LISTENS: &str = "echo 'logstore serve: listening on http://somewhere'; exec sleep 60";

/// A supervisor under test, with the address at which its readiness is asked.
struct Supervised {
    supervisor: Supervisor,
    template: Template,
    changed: Arc<Notify>,
    task: JoinHandle<()>,
}

fn copy() -> CopyName {
    CopyName::first(1).next().unwrap()
}

fn template(script: &str, admin_port: u16) -> Template {
    let command =
        StoreCommand { program: PathBuf::from("/bin/sh"), arguments: vec!["-c".to_owned(), script.to_owned()] };
    let addresses = Addresses { listen: ([127, 0, 0, 1], 9).into(), admin: ([127, 0, 0, 1], admin_port).into() };
    Template { fingerprint: Fingerprint::of(&script), command, addresses }
}

/// Answers at an admin port: ready, or not.
async fn admin(is_ready: bool) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let router = Router::new().route("/readyz", get(move || async move { status }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn closed_port() -> u16 {
    StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Supervised {
    fn start(script: &str, admin_port: u16) -> Self {
        let (template, changed) = (template(script, admin_port), Arc::new(Notify::new()));
        let (supervisor, task) = supervise(copy(), template.clone(), Launcher::Plain, Arc::clone(&changed));
        Self { supervisor, template, changed, task: tokio::spawn(task) }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Pod) -> bool) -> Pod {
        let waiting = async {
            loop {
                let pod = self.supervisor.pod();
                if holds(&pod) {
                    return pod;
                }
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("it is not {what}: {:?}", self.supervisor.pod()))
    }

    async fn stop(self, order: Order) {
        self.supervisor.order(order).await;
        tokio::time::timeout(PATIENCE, self.task).await.expect("it does not stop").unwrap();
    }
}

#[tokio::test]
async fn a_process_that_ends_is_started_again_and_the_trouble_is_kept() {
    let supervised = Supervised::start("exit 3", closed_port());
    let first = supervised.until("in trouble", |pod| pod.trouble.is_some()).await;
    assert_eq!(first.trouble.as_deref(), Some("it ended with exit status 3"));
    let second = supervised.until("started again", |pod| pod.pid.is_some() && pod.pid != first.pid).await;
    assert_eq!((second.trouble, second.is_ready), (first.trouble, false));
    supervised.stop(Order::Stop).await;
}

#[tokio::test]
async fn a_store_is_ready_when_it_listens_and_says_so() {
    let supervised = Supervised::start(LISTENS, admin(true).await);
    let pod = supervised.until("ready", |pod| pod.is_ready).await;
    assert_eq!((pod.trouble, pod.template), (None, supervised.template.fingerprint));
    supervised.stop(Order::Stop).await;
}

/// Another store may answer at the address where ours cannot listen: its namespaces are none of our business.
#[tokio::test]
async fn what_answers_before_our_store_listens_is_not_our_store() {
    let supervised = Supervised::start("sleep 60", admin(true).await);
    tokio::time::sleep(4 * ASK_STARTING).await;
    assert!(!supervised.supervisor.pod().is_ready);
    supervised.stop(Order::Stop).await;
}

#[tokio::test]
async fn a_store_that_is_not_ready_yet_has_no_trouble() {
    let supervised = Supervised::start(LISTENS, admin(false).await);
    tokio::time::sleep(4 * ASK_STARTING).await;
    let pod = supervised.supervisor.pod();
    assert_eq!((pod.is_ready, pod.trouble), (false, None));
    supervised.stop(Order::Stop).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut command = template("", closed_port());
    command.command.program = PathBuf::from("/no/such/program");
    let changed = Arc::new(Notify::new());
    let (supervisor, task) = supervise(copy(), command.clone(), Launcher::Plain, Arc::clone(&changed));
    let supervised = Supervised { supervisor, template: command, changed, task: tokio::spawn(task) };
    let trouble = supervised.until("in trouble", |pod| pod.trouble.is_some()).await.trouble.unwrap();
    assert!(trouble.starts_with("failed to start /no/such/program: "), "{trouble}");
    supervised.stop(Order::Stop).await;
}

#[tokio::test]
async fn a_new_template_waits_until_the_process_is_replaced() {
    let supervised = Supervised::start(LISTENS, admin(true).await);
    let old = supervised.until("ready", |pod| pod.is_ready).await;
    let new = template(&format!("true; {LISTENS}"), admin(true).await);
    supervised.supervisor.order(Order::Template(new.clone())).await;
    supervised.supervisor.order(Order::Replace(supervised.template.fingerprint)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(supervised.supervisor.pod().pid, old.pid, "it runs what was asked for already");

    supervised.supervisor.order(Order::Replace(new.fingerprint)).await;
    let replaced = supervised.until("replaced", |pod| pod.is_ready && pod.template == new.fingerprint).await;
    assert_ne!(replaced.pid, old.pid);
    assert_eq!((replaced.addresses, replaced.trouble), (new.addresses, None));
    supervised.stop(Order::Stop).await;
}

/// A template with a mistake must not make the one that mends it wait.
#[tokio::test]
async fn a_replacement_does_not_wait_for_the_back_off() {
    let supervised = Supervised::start("exit 1", closed_port());
    // By then the waits are longer than this test is patient with.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mended = template(LISTENS, admin(true).await);
    supervised.supervisor.order(Order::Template(mended.clone())).await;
    supervised.supervisor.order(Order::Replace(mended.fingerprint)).await;
    tokio::time::timeout(Duration::from_millis(700), supervised.until("ready", |pod| pod.is_ready)).await.unwrap();
    supervised.stop(Order::Stop).await;
}

#[tokio::test]
async fn a_store_that_does_not_end_can_be_killed() {
    let stubborn = "trap '' TERM; echo 'logstore serve: listening on http://somewhere'; while true; do sleep 0.1; done";
    let supervised = Supervised::start(stubborn, admin(true).await);
    supervised.until("ready", |pod| pod.is_ready).await;
    supervised.supervisor.order(Order::Stop).await;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!supervised.task.is_finished(), "it has been told to drain, and takes its time");
    supervised.stop(Order::Kill).await;
    assert!(begun.elapsed() < GRACE);
}
