"""A Streamlit application with its own `st.login`: `streamlit run streamlit-app.py`, with `[auth]` in its secrets."""

import streamlit as st

if st.user.is_logged_in:
    st.write("Hello", st.user.email, "of", ", ".join(st.user.get("groups", [])))
    st.button("Sign out", on_click=st.logout)
else:
    st.write("Who are you?")
    st.button("Sign in", on_click=st.login)
