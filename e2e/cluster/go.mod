module logstore.dev/e2e/cluster

go 1.26.0

require logstore.dev/image v0.0.0

replace logstore.dev/image => ../../image
