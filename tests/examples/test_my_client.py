from comfyrec.client import BlockingClient

WORKFLOW = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "me"}},
}


def test_my_client(comfyui):
    with BlockingClient(comfyui.url) as client:  # yours instead
        result = client.run(WORKFLOW)

    assert result.outcome == "success"
    comfyui.assert_socket_before_post()
    comfyui.assert_prompt(WORKFLOW)


def test_my_client_survives_a_lost_socket(comfyui):
    hold = comfyui.hold_at("executing", node="2")
    with BlockingClient(comfyui.url) as client:
        prompt = client.submit(WORKFLOW)
        with hold:  # the server stands still after that frame
            comfyui.drop_socket()
        result = prompt.wait()

    assert result.outcome == "success"
