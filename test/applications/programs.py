"""
Programs that cannot read mail, each given an API key as its own users would: `programs.py NAME URL`, the key in RUNEGATE_KEY.
Each says what it got.
"""

import os
import sys

NAME, URL = sys.argv[1:]
KEY = os.environ["RUNEGATE_KEY"]


def gradio():
    from gradio_client import Client

    client = Client(URL, headers={"Authorization": f"Bearer {KEY}"}, verbose=False)
    print(client.predict("Ada", api_name="/greet"))
    job = client.submit(5, api_name="/count")
    print(" ".join(job))


def mlflow():
    from mlflow import MlflowClient

    if os.environ["AS"] == "token":
        os.environ["MLFLOW_TRACKING_TOKEN"] = KEY
    else:
        os.environ["MLFLOW_TRACKING_USERNAME"] = "ada"
        os.environ["MLFLOW_TRACKING_PASSWORD"] = KEY
    client = MlflowClient(URL)
    experiment = client.create_experiment(f"by {os.environ['AS']}")
    run = client.create_run(experiment).info.run_id
    client.log_metric(run, "accuracy", 0.5)
    client.log_text(run, "x" * 1_000_000, "notes.txt")
    print(client.get_run(run).data.metrics, len(client.list_artifacts(run)))
    path = client.download_artifacts(run, "notes.txt")
    print(os.path.getsize(path))


def basic():
    import requests

    with requests.Session() as session:
        session.auth = ("ada", KEY)
        print(session.get(URL).text)
        print(session.post(f"{URL}/upload", data=b"x" * 1_000_000).text)
    print(requests.get(URL, auth=(KEY, "")).text)
    print(requests.get(URL, auth=("ada", KEY[:-1]), allow_redirects=False).status_code)


def websocket():
    from websockets.sync.client import connect

    with connect(f"{URL.replace('http', 'ws')}/socket", additional_headers={"X-Runegate-Key": KEY}, proxy=None) as socket:
        socket.send("hello")
        print(socket.recv())


{"gradio": gradio, "mlflow": mlflow, "basic": basic, "websocket": websocket}[NAME]()
