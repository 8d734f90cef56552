//! What is left over is forgotten.

use loopctl_server::operator::run_job;
use serde_json::json;

use super::{challenge, device, visitor};
use crate::jobs::database;
use crate::support::{connect, server, unique};

#[tokio::test]
async fn tenants_that_never_began_are_forgotten_after_a_while() {
    let owner = connect(&server().owner).await;
    let insert = "insert into tenants (id, name, slug, email, status, inserted_at)
                  values (gen_random_uuid(), $1, $1, $1 || '@acme.example', $2, now() - $3 * interval '1 minute')
                  returning id::text";
    let tenant = async |status: &str, age: f64| -> String {
        let slug = unique("pending");
        owner.query_one(insert, &[&slug, &status, &age]).await.unwrap().get(0)
    };
    let [old, new] = [tenant("pending_enrollment", 20.0).await, tenant("pending_enrollment", 1.0).await];
    let others = [tenant("active", 20.0).await, tenant("suspended", 20.0).await];
    let run = run_job(&database(), "prune_pending_tenants", None, &serde_json::Map::new()).await.unwrap();
    assert!(json!(run).to_string().contains("prune_pending_tenants"));
    let exists = async |id: &str| -> bool {
        let sql = "select exists (select from tenants where id = $1::text::uuid)";
        owner.query_one(sql, &[&id]).await.unwrap().get(0)
    };
    assert!(!exists(&old).await);
    for kept in [&new, &others[0], &others[1]] {
        assert!(exists(kept).await);
        owner.execute("delete from tenants where id = $1::text::uuid", &[kept]).await.unwrap();
    }
}

#[tokio::test]
async fn challenges_are_forgotten_when_they_are_over() {
    let owner = connect(&server().owner).await;
    let [over, good] =
        [challenge(&visitor()).await, challenge(&visitor()).await].map(|it| device::unb64(&it));
    let sql = "update webauthn_challenges set expires_at = now() where challenge = $1";
    owner.execute(sql, &[&over]).await.unwrap();
    owner.execute("select prune_webauthn_challenges(1000)", &[]).await.unwrap();
    let exists = async |challenge: &Vec<u8>| -> bool {
        let sql = "select exists (select from webauthn_challenges where challenge = $1)";
        owner.query_one(sql, &[challenge]).await.unwrap().get(0)
    };
    assert!(!exists(&over).await && exists(&good).await);
}
