from toys.apiserver import ApiServer

GROUP = "/apis/anamnesis.dev/v1alpha1"


def test_the_server_serves_every_kind(cluster: ApiServer) -> None:
    served = {item["kind"] for item in cluster.request("GET", GROUP)["resources"]}
    assert served == {"ContinualModel", "ModelUpdate", "Site", "UpdateApproval"}
