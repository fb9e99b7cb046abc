"""A Gradio application for the tests: says hello, and counts in steps, each of which is an event of a stream."""

import sys
import time

import gradio


def greet(name):
    return f"Hello {name}"


def count(steps):
    for step in range(int(steps)):
        time.sleep(0.05)
        yield str(step + 1)


with gradio.Blocks() as app:
    name = gradio.Textbox()
    hello = gradio.Textbox()
    gradio.Button().click(greet, name, hello, api_name="greet")
    steps = gradio.Number()
    counted = gradio.Textbox()
    gradio.Button().click(count, steps, counted, api_name="count")

app.queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
